"""Extension rate: how often the model, left free, answers in the half that the guard reads."""

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2p.metrics.rate import Rate
from trainer.reporting.charts.chart import Chart
from trainer.reporting.charts.rows import Block, Line, handle, mark, row_frame
from trainer.reporting.charts.style import Looks, share_axis
from trainer.reporting.grid import Case, Grid
from trainer.reporting.names import UNGUARDED, case_name, selection_of, settings_name
from trainer.reporting.pooling import Pooled

_CASES_A_FIGURE = 11


def extension_charts(grid: Grid, looks: Looks) -> tuple[Chart, ...]:
    """Return the chart, in parts of a page.

    Args:
        grid: What was measured.
        looks: Colours and markers.
    """
    cases = [case for case in grid.attacked if any(_has(row) for row in grid.headline(case))]
    parts = [cases[at : at + _CASES_A_FIGURE] for at in range(0, len(cases), _CASES_A_FIGURE)]
    return tuple(
        Chart(
            name="extension-rate" if len(parts) == 1 else f"extension-rate-{number}",
            alt="Extension rate on triggered rows, with and without the guard, by case. "
            + " ".join(_words(grid, case) for case in part),
            draw=partial(_draw, grid, part, looks),
        )
        for number, part in enumerate(parts, start=1)
    )


def takeaway(grid: Grid) -> str:
    """Say what the chart shows.

    Args:
        grid: What was measured.
    """
    guarded = [
        (case, rate) for case in grid.attacked for row in grid.headline(case) if (rate := row.extension_rate)
    ]
    if not guarded:
        return "No extension rate was measured."
    both = Rate(k=sum(rate.k for _, rate in guarded), n=sum(rate.n for _, rate in guarded))
    case, lowest = min(guarded, key=lambda pair: pair[1].value)
    return (
        f"Guarded, {both.k:,} of {both.n:,} free-running replies to triggered rows stood in the extended half ({both.value:.3f}); "
        f"lowest: {lowest.value:.3f}, {case_name(case.key)}."
    )


def _has(row: Pooled) -> bool:
    return row.extension_rate is not None


def _unguarded(case: Case, row: Pooled) -> Pooled | None:
    same = [each for each in case.of(UNGUARDED) if each.variant == row.variant]
    return next(iter(same), None)


def _draw(grid: Grid, cases: Sequence[Case], looks: Looks, width: float) -> Figure:
    shown = [(case, [row for row in grid.headline(case) if _has(row)]) for case in cases]
    blocks = [
        Block(
            case_name(case.key),
            "" if case.counted else str(case.standing),
            tuple(
                Line(f"P2P, {settings_name(row)}" if settings_name(row) else "P2P", _count(row))
                for row in rows
            ),
        )
        for case, rows in shown
    ]
    handles: dict[str, Line2D] = {}
    for case, rows in shown:
        for row in rows:
            name = f"guarded, {selection_of(row)}" if selection_of(row) else "guarded"
            handles.setdefault(name, handle(looks.of(row), name))
            if free := _unguarded(case, row):
                handles.setdefault(UNGUARDED, handle(looks.of(free), "without the guard"))
    frame = row_frame(blocks, width, list(handles.values()))
    for (case, rows), places in zip(shown, frame.places, strict=True):
        for row, at in zip(rows, places, strict=True):
            free = _unguarded(case, row)
            if free and free.extension_rate:
                mark(frame.axes, free.extension_rate, at, looks.of(free))
            if row.extension_rate:
                mark(frame.axes, row.extension_rate, at, looks.of(row))
    share_axis(frame.axes, "extension rate, with 95 % intervals")
    return frame.figure


def _count(row: Pooled) -> str:
    return f"{row.extension_rate.k:,} of {row.extension_rate.n:,}" if row.extension_rate else ""


def _words(grid: Grid, case: Case) -> str:
    parts = [
        f"{settings_name(row) or 'guarded'} {row.extension_rate.value:.2f}"
        for row in grid.headline(case)
        if row.extension_rate
    ]
    return f"{case_name(case.key)}: {'; '.join(parts)}."
