"""Draw the data of the dashboard's panels, asked from a Prometheus with the panels' own queries.

    python -m scripts.draw_dashboard http://127.0.0.1:9090 docs/dashboard.png --minutes 15

Needs matplotlib, which the extra `train` brings.
"""

import argparse
import math
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from scripts.write_dashboard import SECTIONS, Panel, Section

_COLUMNS = 4
_POINTS = 240
_ROW_INCHES = 2.9
_SHOWN_IN_LEGEND = 6
_FORMATS: dict[str, Callable[[float], str]] = {
    "percentunit": lambda value: f"{value:.0%}" if value >= 0.02 or not value else f"{value:.1%}",
    "s": lambda value: f"{1000 * value:.3g} ms" if abs(value) < 1 else f"{value:.3g} s",
    "reqps": lambda value: f"{value:.3g}/s",
    "bool_yes_no": lambda value: "yes" if value else "no",
}
_UNITS = {
    "percentunit": "share",
    "s": "time",
    "reqps": "requests a second",
    "short": "number",
    "none": "number",
}


class Span(NamedTuple):
    """Which time is drawn, in seconds since the epoch."""

    start: float
    end: float

    @property
    def step(self) -> float:
        """Seconds between points."""
        return max(1.0, (self.end - self.start) / _POINTS)


class Line(NamedTuple):
    """One series of a panel; points are seconds before the end, and values."""

    legend: str
    points: list[tuple[float, float]]

    @property
    def is_limit(self) -> bool:
        """Whether it is what others are held against."""
        return self.legend.endswith("limit")


def main() -> None:
    """Draw what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the Prometheus")
    parser.add_argument("output", type=Path, help="the picture, .png or .svg")
    parser.add_argument("--minutes", type=float, default=15)
    given = parser.parse_args()
    draw(given.url, given.output, given.minutes * 60)
    print(given.output)


def filled(expr: str, seconds: float) -> str:
    """Return a panel's query with the values that Grafana would put in, for a graph of this many seconds."""
    values = {"$__rate_interval": "1m", "$__range": f"{max(60, round(seconds))}s", "$adapter": ".*"}
    for name, value in values.items():
        expr = expr.replace(name, value)
    return expr


def draw(url: str, output: Path, seconds: float) -> None:
    """Draw every panel's data of the last seconds, section by section."""
    from matplotlib.figure import Figure

    end = time.time()
    span = Span(end - seconds, end)
    rows = [math.ceil(len(section.panels) / _COLUMNS) for section in SECTIONS]
    figure = Figure(figsize=(4.4 * _COLUMNS, _ROW_INCHES * sum(rows) + len(rows) * 0.4), layout="constrained")
    places = figure.subfigures(
        len(SECTIONS), 1, height_ratios=[count + 0.14 for count in rows], squeeze=False
    )
    for place, section, count in zip(places.flatten(), SECTIONS, rows, strict=True):
        _draw_section(place, section, count, url, span)
    figure.savefig(output, dpi=75)


def _draw_section(place: Any, section: Section, rows: int, url: str, span: Span) -> None:  # noqa: ANN401 - matplotlib's
    place.suptitle(section.title, fontsize=15, fontweight="bold", x=0.005, ha="left")
    axes = place.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for one, panel in zip(axes, section.panels, strict=False):
        lines = _lines(panel, url, span)
        one.set_title("\n".join(textwrap.wrap(panel.title, 38)), fontsize=11)
        draw_panel = _draw_numbers if panel.kind == "stat" else _draw_lines
        draw_panel(one, panel, lines)
    for one in axes[len(section.panels) :]:
        one.remove()


def _draw_numbers(place: Any, panel: Panel, lines: list[Line]) -> None:  # noqa: ANN401 - matplotlib's axes
    """Write the last value of each series."""
    place.set_axis_off()
    show = _FORMATS.get(panel.unit, "{:.3g}".format)
    for at, line in enumerate(lines):
        y = 1 - (at + 0.5) / len(lines)
        place.text(0.48, y, show(line.points[-1][1]), fontsize=20, ha="right", va="center")
        place.text(0.54, y, line.legend, fontsize=11, ha="left", va="center")


def _draw_lines(place: Any, panel: Panel, lines: list[Line]) -> None:  # noqa: ANN401 - matplotlib's axes
    for line in sorted(lines, key=lambda one: one.is_limit):
        look: dict[str, Any] = (
            {"color": "crimson", "linestyle": "--", "linewidth": 1.5} if line.is_limit else {"linewidth": 1.8}
        )
        place.plot(*zip(*line.points, strict=True), label=line.legend, **look)
    top = panel.most or max(place.get_ylim()[1], 1e-9)
    # A line along 0 is to be seen.
    place.set_ylim(-0.03 * top, 1.05 * top)
    show = _FORMATS.get(panel.unit, "{:.3g}".format)
    place.yaxis.set_major_formatter(lambda value, _: show(value) if value >= 0 else "")
    place.set_ylabel(_UNITS.get(panel.unit, panel.unit), fontsize=9)
    place.set_xlabel("seconds before the end", fontsize=9)
    place.tick_params(labelsize=9)
    place.grid(alpha=0.3)
    if 0 < len(lines) <= _SHOWN_IN_LEGEND or any(line.is_limit for line in lines):
        place.legend(fontsize=8.5, loc="best", framealpha=0.7)


def _lines(panel: Panel, url: str, span: Span) -> list[Line]:
    """Return the series of a panel that have a value; of counts by reason only those that are not 0 throughout."""
    found = []
    for query in panel.queries:
        for series in _series(url, query.expr, span):
            points = [(float(at) - span.end, float(value)) for at, value in series["values"]]
            legend = query.legend
            for name, value in series["metric"].items():
                legend = legend.replace(f"{{{{{name}}}}}", value)
            if numbers := [point for point in points if not math.isnan(point[1])]:
                found.append(Line(legend, numbers))
    busy = [line for line in found if any(value for _, value in line.points)]
    return busy if len(found) > _SHOWN_IN_LEGEND and busy else found


def _series(url: str, expr: str, span: Span) -> list[dict[str, Any]]:
    asked: dict[str, str | float] = {
        "query": filled(expr, span.end - span.start),
        "start": span.start,
        "end": span.end,
        "step": span.step,
    }
    reply = httpx.get(f"{url}/api/v1/query_range", params=asked, timeout=30).raise_for_status().json()
    found: list[dict[str, Any]] = reply["data"]["result"]
    return found


if __name__ == "__main__":
    main()
