"""The frame of a small chart that stands beside others: title above, legend below, so that it can be read by itself."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from trainer.reporting.charts.style import MUTED, fitting, legend_columns

_PLOT = 2.0  # inches
_LEGEND_LINE = 0.157


class Panel(NamedTuple):
    """A figure with its axes."""

    figure: Figure
    axes: Axes


def panel(title: str, remark: str, width: float, legend: Sequence[Line2D]) -> Panel:
    """Lay out a small chart.

    Args:
        title: What it is about.
        remark: Said below the title in a lighter colour.
        width: Inches.
        legend: One handle for each kind of marker or line.
    """
    columns = legend_columns(legend, width)
    below = 0.53 + _LEGEND_LINE * -(-len(legend) // columns) + 0.1
    above = 0.34 + (0.18 if remark else 0)
    height = _PLOT + below + above
    figure = Figure(figsize=(width, height))
    left, right = 0.62, 0.2
    axes = figure.add_axes((left / width, below / height, (width - left - right) / width, _PLOT / height))
    figure.text(
        0.08 / width,
        1 - 0.17 / height,
        title,
        va="center",
        weight="bold",
        fontsize=fitting(title, 9.5, width - 0.16),
    )
    if remark:
        figure.text(0.08 / width, 1 - 0.36 / height, remark, va="center", color=MUTED)
    figure.legend(
        handles=legend, loc="lower left", ncols=columns, bbox_to_anchor=(0.08 / width, 0.04 / height)
    )
    return Panel(figure, axes)
