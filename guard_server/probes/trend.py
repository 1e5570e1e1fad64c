"""Whether a share has changed: the last run against the ones before it."""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from p2p.metrics.rate import Rate

SIGNIFICANT = 0.01
_BARS = "▁▂▃▄▅▆▇█"


class Direction(StrEnum):
    """Where a share goes."""

    RISING = "rising"
    FALLING = "falling"
    STEADY = "steady"
    UNKNOWN = "unknown"


class Trend(NamedTuple):
    """The last run beside the earlier ones.

    Attributes:
        earlier: All earlier runs together.
        latest: The last run.
        direction: Rising or falling where chance alone would show as much in less than 1 % of all cases, each way.
        line: The runs' values as a row of bars from 0 to 1.
    """

    earlier: Rate
    latest: Rate
    direction: Direction
    line: str


def trend(runs: Sequence[Rate]) -> Trend:
    """Return where a share goes.

    Args:
        runs: One rate a run, the oldest first.
    """
    measured = [rate for rate in runs if rate.n]
    if not measured:
        return Trend(Rate(k=0, n=0), Rate(k=0, n=0), Direction.UNKNOWN, "")
    *before, latest = measured
    earlier = Rate(k=sum(rate.k for rate in before), n=sum(rate.n for rate in before))
    return Trend(earlier, latest, _direction(earlier, latest), "".join(map(_bar, measured)))


def chance_of_rise(earlier: Rate, latest: Rate) -> float:
    """Return the chance of at least this many hits in the later run if nothing had changed: Fisher's exact test, one-sided.

    Source: R. A. Fisher, "Statistical Methods for Research Workers" (1934), section 21.02.
    """
    hits, total = earlier.k + latest.k, earlier.n + latest.n
    most = min(hits, latest.n)
    ways = sum(math.comb(hits, k) * math.comb(total - hits, latest.n - k) for k in range(latest.k, most + 1))
    return ways / math.comb(total, latest.n)


def _direction(earlier: Rate, latest: Rate) -> Direction:
    if not earlier.n:
        return Direction.UNKNOWN
    if chance_of_rise(earlier, latest) < SIGNIFICANT:
        return Direction.RISING
    # A fall of the hits is a rise of the misses.
    if chance_of_rise(_misses(earlier), _misses(latest)) < SIGNIFICANT:
        return Direction.FALLING
    return Direction.STEADY


def _misses(rate: Rate) -> Rate:
    return Rate(k=rate.n - rate.k, n=rate.n)


def _bar(rate: Rate) -> str:
    return _BARS[min(int(rate.value * len(_BARS)), len(_BARS) - 1)]
