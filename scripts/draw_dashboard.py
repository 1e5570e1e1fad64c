"""Draw the data of the dashboard's panels, asked from a Prometheus with the panels' own queries.

    python -m scripts.draw_dashboard http://127.0.0.1:9090 docs/dashboard.png --minutes 15

Needs matplotlib, which the extra `train` brings.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from scripts.write_dashboard import SECTIONS, Panel

_COLUMNS = 4
_POINTS = 240


class Span(NamedTuple):
    """Which time is drawn, in seconds since the epoch."""

    start: float
    end: float

    @property
    def step(self) -> float:
        """Seconds between points."""
        return max(1.0, (self.end - self.start) / _POINTS)


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
    """Draw every panel's data of the last seconds."""
    from matplotlib.figure import Figure

    panels = [panel for section in SECTIONS for panel in section.panels]
    end = time.time()
    span = Span(end - seconds, end)
    rows = math.ceil(len(panels) / _COLUMNS)
    figure = Figure(figsize=(5 * _COLUMNS, 3 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for place, panel in zip(axes, panels, strict=False):
        _draw_panel(place, panel, url, span)
    for place in axes[len(panels) :]:
        place.remove()
    figure.savefig(output, dpi=80)


def _draw_panel(place: Any, panel: Panel, url: str, span: Span) -> None:  # noqa: ANN401 - matplotlib's axes
    place.set_title(panel.title, fontsize=10)
    for query in panel.queries:
        for series in _series(url, query.expr, span):
            points = [(float(at) - span.end, float(value)) for at, value in series["values"]]
            legend = query.legend
            for name, value in series["metric"].items():
                legend = legend.replace(f"{{{{{name}}}}}", value)
            place.plot(*zip(*points, strict=True), label=legend, linewidth=1.2)
    top = panel.most or place.get_ylim()[1]
    # A line along 0 is to be seen.
    place.set_ylim(-0.03 * top, 1.03 * top)
    place.tick_params(labelsize=7)
    if place.lines:
        place.legend(fontsize=6, loc="best")


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
