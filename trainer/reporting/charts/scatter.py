"""CA against ASR: one small chart a case, every defence a marker, the ideal in the upper left corner."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2p.metrics.rate import Rate
from trainer.reporting.charts.chart import Chart, slug
from trainer.reporting.charts.panel import panel
from trainer.reporting.charts.rows import handle
from trainer.reporting.charts.style import INK, Look, Looks, counts_of, share_axis
from trainer.reporting.grid import Case, Grid
from trainer.reporting.names import GUARDED, UNDEFENDED, case_name, chart_name, row_name
from trainer.reporting.pooling import Pooled

_CLEAN: Final[dict[str, Any]] = {"color": INK, "linewidth": 0.9, "linestyle": (0, (4, 3))}


def scatter_charts(grid: Grid, looks: Looks) -> tuple[Chart, ...]:
    """Return one chart for each case that has at least two defences.

    Args:
        grid: What was measured.
        looks: Colours and markers.
    """
    shown = [(case, _rows(grid, case)) for case in grid.attacked]
    return tuple(
        Chart(
            name=f"accuracy-against-attack-{slug(case_name(case.key))}",
            alt=f"Clean accuracy against attack success rate, {case_name(case.key)}. "
            + "; ".join(
                f"{row_name(row)}: ASR {_asr(row).value:.2f}, CA {row.clean_accuracy.value:.2f}"
                for row in rows
            ),
            draw=partial(_draw, case, rows, looks),
            panel=True,
        )
        for case, rows in shown
        if len(rows) > 1
    )


def _rows(grid: Grid, case: Case) -> tuple[Pooled, ...]:
    defences = dict.fromkeys(row.defence for row in case.rows)
    shown = (row for defence in defences for row in grid.headline(case, defence))
    return tuple(row for row in shown if row.attack_success_rate and row.attack_success_rate.n)


def _asr(row: Pooled) -> Rate:
    return row.attack_success_rate or Rate(k=0, n=0)


def _draw(case: Case, rows: Sequence[Pooled], looks: Looks, width: float) -> Figure:
    handles = [handle(looks.of(row), chart_name(row), hollow=not case.counted) for row in rows]
    if case.never_poisoned:
        handles.append(Line2D([], [], label="CA never poisoned", **_CLEAN))
    counts = (
        f"ASR {counts_of(_asr(row).n for row in rows)}; CA {counts_of(row.clean_accuracy.n for row in rows)}"
    )
    standing = "" if case.counted else f"{case.standing}; "
    figure, axes = panel(case_name(case.key), f"{standing}{counts}", width, handles)
    # The undefended model and P2P are never hidden behind others.
    for row in sorted(rows, key=lambda row: row.defence in (UNDEFENDED, GUARDED)):
        _mark(axes, row, looks.of(row), hollow=not case.counted)
    _ideal(axes, rows)
    if case.never_poisoned:
        axes.axhline(case.never_poisoned.clean_accuracy.value, zorder=1, **_CLEAN)
    share_axis(axes, "attack success rate (less is better)")
    axes.set_ylabel("clean accuracy")
    return figure


def _mark(axes: Axes, row: Pooled, look: Look, *, hollow: bool) -> None:
    asr, accuracy = _asr(row), row.clean_accuracy
    across, up = asr.interval, accuracy.interval
    axes.plot([across.low, across.high], [accuracy.value] * 2, color=look.colour, linewidth=1, alpha=0.6)
    axes.plot([asr.value] * 2, [up.low, up.high], color=look.colour, linewidth=1, alpha=0.6)
    axes.plot(
        asr.value,
        accuracy.value,
        marker=look.marker,
        markersize=7.5,
        color=look.colour,
        markerfacecolor="white" if hollow else look.colour,
        markeredgecolor=look.colour if hollow else "white",
        markeredgewidth=1.2 if hollow else 0.5,
        zorder=4,
    )


def _ideal(axes: Axes, rows: Sequence[Pooled]) -> None:
    """Mark the upper left corner, and leave room above the highest interval for it."""
    low = min(row.clean_accuracy.interval.low for row in rows)
    high = max(row.clean_accuracy.interval.high for row in rows)
    room = max(0.06, high - low)
    axes.set_ylim(low - 0.06 * room, high + 0.22 * room)
    axes.annotate(
        "ideal",
        xy=(0.0, 1.0),
        xytext=(0.075, 0.93),
        xycoords="axes fraction",
        textcoords="axes fraction",
        va="center",
        color=INK,
        style="italic",
        arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 0.9},
    )
