"""The frame of charts with one line for each thing compared: labels beside the axis, or above each line where it is narrow."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2p.metrics.rate import Rate
from trainer.reporting.charts.style import INK, MUTED, NARROW, Look

_LINE = 0.235  # inches for each line
_HEADING = 0.30  # inches for a heading above lines


class Line(NamedTuple):
    """One line of the chart.

    Attributes:
        label: What the line is.
        muted: Whether it is set back, such as a case that does not count.
    """

    label: str
    muted: bool = False


class Block(NamedTuple):
    """Lines under one heading.

    Attributes:
        heading: The heading, at most as long as the chart is wide.
        remark: Said behind it in a lighter colour.
        lines: The lines.
    """

    heading: str
    remark: str
    lines: tuple[Line, ...]


class Frame(NamedTuple):
    """A figure that waits for its markers.

    Attributes:
        figure: The figure.
        axes: Its axes; the vertical axis counts lines downward.
        places: The height of each line, block by block.
    """

    figure: Figure
    axes: Axes
    places: tuple[tuple[float, ...], ...]


def row_frame(blocks: Sequence[Block], width: float, legend: Sequence[Line2D]) -> Frame:
    """Lay out headings, labels and the legend.

    Args:
        blocks: What is compared.
        width: Inches.
        legend: One handle for each kind of marker, shown above the lines.
    """
    narrow = width <= NARROW
    columns = 2 if narrow else max(1, min(5, len(legend)))
    top = 0.12 + 0.2 * -(-len(legend) // columns)
    heights = [_HEADING + _LINE * len(block.lines) * (1.6 if narrow else 1) for block in blocks]
    height = sum(heights) + top + 0.5
    left = 0.12 if narrow else 2.15
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, 0.5 / height, (width - left - 0.12) / width, sum(heights) / height))
    axes.set_ylim(sum(heights), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    if legend:
        figure.legend(
            handles=legend, loc="upper left", ncols=columns, bbox_to_anchor=(0.1 / width, 1 - 0.06 / height)
        )
    return Frame(figure, axes, tuple(_place_labels(axes, blocks, width, left, narrow=narrow)))


def _place_labels(
    axes: Axes, blocks: Sequence[Block], width: float, left: float, *, narrow: bool
) -> list[tuple[float, ...]]:
    across = axes.get_yaxis_transform()
    start = -(left - 0.1) / (width - left - 0.12)
    line = _LINE * (1.6 if narrow else 1)
    at, places = 0.0, []
    for block in blocks:
        axes.axhline(at + 0.03, xmin=start, color="#c9d0d8", linewidth=0.8, clip_on=False)
        _heading(axes, block, start, at + 0.19)
        at += _HEADING
        heights = []
        for each in block.lines:
            low = at + (0.72 if narrow else 0.5) * line
            label_at = at + (0.3 if narrow else 0.5) * line
            axes.text(
                start + 0.015,
                label_at,
                each.label,
                transform=across,
                va="center",
                color=MUTED if each.muted else INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6} if narrow else None,
            )
            heights.append(low)
            at += line
        places.append(tuple(heights))
    return places


def _heading(axes: Axes, block: Block, start: float, at: float) -> None:
    background = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    heading = axes.text(
        start,
        at,
        block.heading,
        transform=axes.get_yaxis_transform(),
        va="center",
        weight="bold",
        bbox=background,
    )
    if block.remark:
        axes.annotate(
            block.remark,
            xy=(1, 0.5),
            xycoords=heading,
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=MUTED,
            bbox=background,
            annotation_clip=False,
        )


def handle(look: Look, label: str, *, hollow: bool = False) -> Line2D:
    """Return a legend's handle.

    Args:
        look: Colour and marker.
        label: What it stands for.
        hollow: Whether the marker is an outline.
    """
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=look.marker,
        markersize=7,
        color=look.colour,
        markerfacecolor="white" if hollow else look.colour,
        label=label,
    )


def mark(axes: Axes, rate: Rate, at: float, look: Look, *, hollow: bool = False) -> None:
    """Draw a share with its interval.

    Args:
        axes: Where.
        rate: The share; nothing is drawn when it has no rows.
        at: The line's height.
        look: Colour and marker.
        hollow: Whether the marker is an outline.
    """
    if not rate.n:
        return
    low, high = rate.interval
    axes.plot(
        [low, high], [at, at], color=look.colour, linewidth=1.6, alpha=0.75, solid_capstyle="butt", zorder=3
    )
    axes.plot(
        rate.value,
        at,
        marker=look.marker,
        markersize=7,
        color=look.colour,
        markerfacecolor="white" if hollow else look.colour,
        markeredgewidth=1.2 if hollow else 0.4,
        markeredgecolor=look.colour if hollow else "white",
        zorder=4,
        clip_on=False,
    )
