"""The last runs of one share as a small line: its points, the 95 % intervals round them, and the limit."""

from collections.abc import Sequence
from typing import NamedTuple

from p2p.metrics.rate import Rate

WIDTH, HEIGHT = 160, 48
_EDGE = 5.0
_TOPS = (0.1, 0.25, 0.5, 1.0)


class Dot(NamedTuple):
    """One run's point."""

    x: float
    y: float


class Sparkline(NamedTuple):
    """What is drawn, in units of an image of ``WIDTH`` by ``HEIGHT``.

    Attributes:
        dots: The points, the oldest first.
        band: The corners of the intervals' area.
        limit_y: Where the limit lies.
        top: The share at the upper edge; 0 is at the lower.
        words: What the picture says, for those who don't see it.
    """

    dots: tuple[Dot, ...]
    band: tuple[Dot, ...]
    limit_y: float | None
    top: float
    words: str


def sparkline(
    name: str, rates: Sequence[Rate], limit: float | None = None, top: float | None = None
) -> Sparkline:
    """Draw a share over runs.

    Args:
        name: Of the share.
        rates: One a run, the oldest first; each measured something.
        limit: Drawn where there is one.
        top: The share at the upper edge; by default the least of 0.1, 0.25, 0.5 and 1 that holds every value and the limit.

    Raises:
        ValueError: There is no run.
    """
    if not rates:
        raise ValueError("a line needs at least one run")
    highest = max([rate.value for rate in rates] + ([limit] if limit is not None else []))
    upper = top or next(step for step in _TOPS if step >= highest)
    across = [_across(at, len(rates)) for at in range(len(rates))]
    dots = tuple(Dot(x, _up(rate.value, upper)) for x, rate in zip(across, rates, strict=True))
    above = [Dot(x, _up(rate.interval.high, upper)) for x, rate in zip(across, rates, strict=True)]
    below = [Dot(x, _up(rate.interval.low, upper)) for x, rate in zip(across, rates, strict=True)]
    band = (*above, *reversed(below))
    return Sparkline(
        dots, band, None if limit is None else _up(limit, upper), upper, _words(name, rates, limit)
    )


def _across(at: int, count: int) -> float:
    """A single run stands at the right, where the newest one always is."""
    step = (WIDTH - 2 * _EDGE) / max(1, count - 1)
    return round(WIDTH - _EDGE - step * (count - 1 - at), 1)


def _up(share: float, top: float) -> float:
    return round(HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * min(1.0, share / top), 1)


def _words(name: str, rates: Sequence[Rate], limit: float | None) -> str:
    runs = "1 run" if len(rates) == 1 else f"{len(rates)} runs"
    values = [rate.value for rate in rates]
    said = f"{name} over {runs}: {min(values):.3f} to {max(values):.3f}, last {values[-1]:.3f}"
    return said if limit is None else f"{said}; limit {limit:.3f}"
