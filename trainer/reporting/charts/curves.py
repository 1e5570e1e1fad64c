"""Training curves: loss over tokens, one small chart a case."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from trainer.bench.results import CurvePoint
from trainer.reporting.charts.chart import Chart, slug
from trainer.reporting.charts.panel import panel
from trainer.reporting.charts.style import Looks
from trainer.reporting.grid import Case, Grid
from trainer.reporting.names import UNDEFENDED, case_name, chart_name
from trainer.reporting.pooling import Pooled

_POINTS = 60  # what an eye can tell apart in a small chart


def curve_charts(grid: Grid, looks: Looks) -> tuple[Chart, ...]:
    """Return one chart for each case with a curve of the undefended or the guarded training.

    Args:
        grid: What was measured.
        looks: Colours and markers.
    """
    shown = [(case, _rows(grid, case)) for case in grid.attacked]
    return tuple(
        Chart(
            name=f"training-{slug(case_name(case.key))}",
            alt=f"Training loss over tokens, {case_name(case.key)}. "
            + "; ".join(_words(row) for row in rows),
            draw=partial(_draw, case, rows, looks),
            panel=True,
        )
        for case, rows in shown
        if rows
    )


def takeaway(grid: Grid) -> str:
    """Say where the curves end, and how many end higher than they began.

    Args:
        grid: What was measured.
    """
    curves = [
        cell.curve
        for case in grid.attacked
        for row in _rows(grid, case)
        for cell in row.cells
        if len(cell.curve) > 1
    ]
    if not curves:
        return "No training left a curve."
    ends = [curve[-1].loss for curve in curves]
    rising = sum(curve[-1].loss >= curve[0].loss for curve in curves)
    worse = "none ends higher than it began" if not rising else f"{rising} end higher than they began"
    return f"{len(curves)} trainings end at a loss of {min(ends):.3f} to {max(ends):.3f} nats a target token; {worse}."


def thinned(curve: Sequence[CurvePoint], most: int = _POINTS) -> list[CurvePoint]:
    """Return a curve of at most so many points, each the mean of those that it stands for, weighted by their tokens.

    Args:
        curve: The points, by tokens.
        most: At least 1.
    """
    if len(curve) <= most:
        return list(curve)
    edges = [round(place * len(curve) / most) for place in range(most + 1)]
    starts = [0, *(point.tokens for point in curve)]
    thin = []
    for low, high in pairwise(edges):
        weights = [max(0, curve[at].tokens - starts[at]) for at in range(low, high)]
        total = sum(weights) or 1
        loss = (
            sum(weight * curve[at].loss for weight, at in zip(weights, range(low, high), strict=True)) / total
        )
        thin.append(CurvePoint(tokens=curve[high - 1].tokens, loss=loss))
    return thin


def _rows(grid: Grid, case: Case) -> tuple[Pooled, ...]:
    shown = (*case.of(UNDEFENDED), *grid.headline(case))
    return tuple(row for row in shown if any(cell.curve for cell in row.cells))


def _words(row: Pooled) -> str:
    ends = [cell.curve[-1].loss for cell in row.cells if cell.curve]
    return f"{chart_name(row)} ends at {', '.join(f'{end:.3f}' for end in ends)}"


def _draw(case: Case, rows: Sequence[Pooled], looks: Looks, width: float) -> Figure:
    handles = [
        Line2D([], [], color=looks.of(row).colour, linewidth=1.6, linestyle=_dash(row), label=chart_name(row))
        for row in rows
    ]
    figure, axes = panel(case_name(case.key), "", width, handles)
    for row in rows:
        for cell in row.cells:
            points = thinned(cell.curve)
            axes.plot(
                [point.tokens for point in points],
                [point.loss for point in points],
                color=looks.of(row).colour,
                linewidth=1.3,
                linestyle=_dash(row),
                alpha=0.9,
            )
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda tokens, _: f"{tokens / 1000:,.0f}k" if tokens else "0")
    )
    axes.set_xlabel("tokens trained on")
    axes.set_ylabel("loss (nats a target token)")
    return figure


def _dash(row: Pooled) -> Literal["-", "--"]:
    return "--" if row.defence == UNDEFENDED else "-"
