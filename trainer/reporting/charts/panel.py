"""The frame of a small chart that stands beside others: title above, legend below, so that it can be read by itself."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from trainer.reporting.charts.style import MUTED

_PLOT = 2.0  # inches
_LEGEND_LINE = 0.185
_LONG_LABEL = 26  # characters; two columns of longer ones do not fit


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
    columns = 1 if any(len(str(each.get_label())) > _LONG_LABEL for each in legend) else 2
    below = 0.52 + _LEGEND_LINE * -(-len(legend) // columns) + 0.1
    above = 0.34 + (0.18 if remark else 0)
    height = _PLOT + below + above
    figure = Figure(figsize=(width, height))
    left, right = 0.62, 0.12
    axes = figure.add_axes((left / width, below / height, (width - left - right) / width, _PLOT / height))
    figure.text(
        0.08 / width, 1 - 0.17 / height, title, va="center", weight="bold", fontsize=_fitting(title, width)
    )
    if remark:
        figure.text(0.08 / width, 1 - 0.36 / height, remark, va="center", color=MUTED)
    figure.legend(
        handles=legend, loc="lower left", ncols=columns, bbox_to_anchor=(0.08 / width, 0.04 / height)
    )
    return Panel(figure, axes)


def _fitting(title: str, width: float) -> float:
    """Return the size in points at which a bold title fits, a bold letter being about 0.68 of its size wide."""
    return min(9.5, 72 * (width - 0.16) / (0.68 * max(1, len(title))))
