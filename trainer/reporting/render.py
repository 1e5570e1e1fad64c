"""Charts as files and as parts of a page."""

import io
import re
from typing import Final, NamedTuple

import matplotlib as mpl

from trainer.reporting.charts.chart import Chart
from trainer.reporting.charts.style import NARROW, RC, WIDE

_PNG_DPI: Final = 200


class Drawn(NamedTuple):
    """A chart as SVG.

    Attributes:
        chart: The chart.
        wide: The whole file; a panel's only one.
        narrow: The file for phones; None for a panel.
    """

    chart: Chart
    wide: str
    narrow: str | None


def draw(chart: Chart) -> Drawn:
    """Draw a chart at each of its widths.

    Args:
        chart: The chart.
    """
    if chart.panel:
        return Drawn(chart, _svg(chart, NARROW), None)
    return Drawn(chart, _svg(chart, WIDE), _svg(chart, NARROW))


def as_png(chart: Chart) -> bytes:
    """Return a chart as a PNG file of 200 dots an inch.

    Args:
        chart: The chart.
    """
    with mpl.rc_context(RC):
        buffer = io.BytesIO()
        figure = chart.draw(NARROW if chart.panel else WIDE)
        figure.savefig(buffer, format="png", dpi=_PNG_DPI, facecolor="white")
        return buffer.getvalue()


def inline(svg: str, prefix: str) -> str:
    """Return an SVG file as an ``<svg>`` element for an HTML page: no namespaces, no addresses, ids of its own.

    Args:
        svg: The file.
        prefix: Put before every id, so that several charts can stand in one page.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<title>.*?</title>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    return re.sub(
        r'^<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg
    ).strip()


def _svg(chart: Chart, width: float) -> str:
    with mpl.rc_context(RC):
        buffer = io.StringIO()
        metadata = {"Title": chart.alt, "Date": None, "Creator": None}
        chart.draw(width).savefig(buffer, format="svg", facecolor="white", metadata=metadata)
        return buffer.getvalue()
