"""Charts as files and as parts of a page."""

import io
import re
from typing import Final

import matplotlib as mpl

from trainer.reporting.charts.chart import Chart
from trainer.reporting.charts.style import NARROW, RC, WIDE

_PNG_DPI: Final = 200
_PANEL: Final = NARROW


def as_svg(chart: Chart) -> str:
    """Return a chart as an SVG file with a title for those who can't see it.

    Args:
        chart: The chart.
    """
    return _svg(chart, _PANEL if chart.panel else WIDE)


def as_png(chart: Chart) -> bytes:
    """Return a chart as a PNG file of 200 dots an inch.

    Args:
        chart: The chart.
    """
    with mpl.rc_context(RC):
        buffer = io.BytesIO()
        chart.draw(_PANEL if chart.panel else WIDE).savefig(
            buffer, format="png", dpi=_PNG_DPI, facecolor="white"
        )
        return buffer.getvalue()


def inline(chart: Chart, width: float, prefix: str) -> str:
    """Return a chart as an ``<svg>`` element for an HTML page: no namespaces, no addresses, ids of its own.

    Args:
        chart: The chart.
        width: Inches.
        prefix: Put before every id, so that several charts can stand in one page.
    """
    svg = _svg(chart, width)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<title>.*?</title>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    size = re.search(r'<svg[^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    ratio = f' style="aspect-ratio:{size[1]}/{size[2]}"' if size else ""
    return re.sub(
        r'^<svg[^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1"{ratio} aria-hidden="true">', svg
    ).strip()


def _svg(chart: Chart, width: float) -> str:
    with mpl.rc_context(RC):
        buffer = io.StringIO()
        metadata = {"Title": chart.alt, "Date": None, "Creator": None}
        chart.draw(width).savefig(buffer, format="svg", facecolor="white", metadata=metadata)
        return buffer.getvalue()
