"""The frame of charts with one line for each thing compared: labels beside the axis, or above each line where it is narrow."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2p.metrics.rate import Rate
from trainer.reporting.charts.style import INK, MUTED, NARROW, Look, fitting, legend_columns, text_width

_EDGE = 0.1  # inches
_AXIS = 0.5  # inches below the lines: ticks and title
_SIZE = 8.5  # points


class Line(NamedTuple):
    """One line of the chart.

    Attributes:
        label: What the line is.
        value: Its figures in words, beside the line.
        muted: Whether it is set back, such as a case that does not count.
    """

    label: str
    value: str = ""
    muted: bool = False


class Block(NamedTuple):
    """Lines under one heading.

    Attributes:
        heading: The heading; made smaller where the chart is narrower than it.
        remark: Said behind it in a lighter colour, or below it where there is no room.
        lines: The lines.
    """

    heading: str
    remark: str
    lines: tuple[Line, ...]


class Frame(NamedTuple):
    """A figure that waits for its markers.

    Attributes:
        figure: The figure.
        axes: Its axes; the vertical axis counts inches downward.
        places: The height of each line, block by block.
    """

    figure: Figure
    axes: Axes
    places: tuple[tuple[float, ...], ...]


class _Layout(NamedTuple):
    """Measures in inches.

    Attributes:
        width: The figure's width.
        left: From its left edge to the axis.
        right: From the axis to its right edge.
        line: The height of a line.
        narrow: Whether labels stand above lines.
    """

    width: float
    left: float
    right: float
    line: float
    narrow: bool

    @property
    def start(self) -> float:
        """The figure's left margin in shares of the axis."""
        return (_EDGE - self.left) / (self.width - self.left - self.right)

    @property
    def end(self) -> float:
        """The figure's right margin in shares of the axis."""
        return 1 + (self.right - _EDGE) / (self.width - self.left - self.right)

    def heading(self, block: Block) -> float:
        """Return the height of a block's heading."""
        return 0.3 + (0.18 if self.narrow and block.remark else 0)


def row_frame(blocks: Sequence[Block], width: float, legend: Sequence[Line2D]) -> Frame:
    """Lay out headings, labels and the legend.

    Args:
        blocks: What is compared.
        width: Inches.
        legend: One handle for each kind of marker, shown above the lines.
    """
    layout = _layout(blocks, width)
    columns = legend_columns(legend, width)
    top = 0.12 + 0.2 * -(-len(legend) // columns)
    body = sum(layout.heading(block) + layout.line * len(block.lines) for block in blocks)
    height = body + top + _AXIS
    figure = Figure(figsize=(width, height))
    plot = (layout.left / width, _AXIS / height, (width - layout.left - layout.right) / width, body / height)
    axes = figure.add_axes(plot)
    axes.set_ylim(body, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    if legend:
        corner = (_EDGE / width, 1 - 0.06 / height)
        figure.legend(handles=legend, loc="upper left", ncols=columns, bbox_to_anchor=corner)
    return Frame(figure, axes, tuple(_place(axes, blocks, layout)))


def _layout(blocks: Sequence[Block], width: float) -> _Layout:
    if width <= NARROW:
        return _Layout(width, 0.14, 0.14, 0.42, narrow=True)
    lines = [line for block in blocks for line in block.lines]
    label = max(text_width(line.label, _SIZE) for line in lines)
    value = max(text_width(line.value, _SIZE) for line in lines)
    return _Layout(width, label + 0.4, value + (0.3 if value else 0.14), 0.235, narrow=False)


def _place(axes: Axes, blocks: Sequence[Block], layout: _Layout) -> list[tuple[float, ...]]:
    at, places = 0.0, []
    for block in blocks:
        axes.axhline(
            at + 0.03, xmin=layout.start, xmax=layout.end, color="#c9d0d8", linewidth=0.8, clip_on=False
        )
        _heading(axes, block, layout, at + 0.18)
        at += layout.heading(block)
        for place, line in enumerate(block.lines):
            _label(axes, line, layout, at + layout.line * place)
        middle = 0.7 if layout.narrow else 0.5
        places.append(tuple(at + layout.line * (place + middle) for place in range(len(block.lines))))
        at += layout.line * len(block.lines)
    return places


def _label(axes: Axes, line: Line, layout: _Layout, top: float) -> None:
    at = top + layout.line * (0.28 if layout.narrow else 0.5)
    across, colour = axes.get_yaxis_transform(), MUTED if line.muted else INK
    background = {"facecolor": "white", "edgecolor": "none", "pad": 0.6} if layout.narrow else None
    axes.text(
        layout.start + 0.015, at, line.label, transform=across, va="center", color=colour, bbox=background
    )
    if line.value:
        axes.text(
            layout.end,
            at,
            line.value,
            transform=across,
            va="center",
            ha="right",
            color=colour,
            bbox=background,
        )


def _heading(axes: Axes, block: Block, layout: _Layout, at: float) -> None:
    background = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    size = fitting(block.heading, _SIZE, layout.width - 2 * _EDGE)
    across = axes.get_yaxis_transform()
    axes.text(
        layout.start,
        at,
        block.heading,
        transform=across,
        va="center",
        weight="bold",
        fontsize=size,
        bbox=background,
    )
    if block.remark:
        plot = layout.width - layout.left - layout.right
        behind = layout.start + (text_width(block.heading, size, bold=True) + 0.12) / plot
        place = (layout.start, at + 0.17) if layout.narrow else (behind, at)
        axes.text(*place, block.remark, transform=across, va="center", color=MUTED, bbox=background)


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
