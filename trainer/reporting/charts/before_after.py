"""ASR before and after: the undefended model, P2P and the floor, one line for each case and way of choosing rows."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from trainer.reporting.charts.chart import Chart
from trainer.reporting.charts.rows import Block, Line, handle, mark, row_frame
from trainer.reporting.charts.style import FLOOR, Looks, share_axis
from trainer.reporting.grid import Case, Grid, Standing
from trainer.reporting.names import case_name, chosen_name, selection_of
from trainer.reporting.pooling import Pooled
from trainer.reporting.summary import Summary

_CASES_A_FIGURE = 11  # what fits on a page of A4


def before_after_charts(grid: Grid, looks: Looks, most: int = _CASES_A_FIGURE) -> tuple[Chart, ...]:
    """Return the chart, in several parts when it would be longer than a page.

    Args:
        grid: What was measured.
        looks: Colours and markers.
        most: Cases a part.
    """
    cases = [case for case in grid.attacked if grid.headline(case) or case.undefended]
    parts = [cases[at : at + most] for at in range(0, len(cases), most)]
    return tuple(
        Chart(
            name="asr-before-after" if len(parts) == 1 else f"asr-before-after-{number}",
            alt="Attack success rate of the undefended and the P2P guarded model with floor, by case. "
            + " ".join(_words(grid, case) for case in part),
            draw=partial(_draw, grid, part, looks),
        )
        for number, part in enumerate(parts, start=1)
    )


def takeaway(summaries: Sequence[Summary]) -> str:
    """Say what the chart shows.

    Args:
        summaries: One for each way of choosing rows; may be empty.
    """
    if not summaries:
        return (
            "No case counts: the attack was implanted in none of them, or the guarded model was not measured."
        )
    said = [
        f"from {each.asr_before.value:.3f} to {each.asr_after.value:.3f} with {_how(each)}"
        for each in summaries
    ]
    return f"P2P takes attack success {'; '.join(said)}."


def _how(summary: Summary) -> str:
    cases = "1 case" if len(summary.pairs) == 1 else f"{len(summary.pairs)} cases"
    floor = f"floor {summary.floor.value:.3f}, " if summary.floor.n else ""
    return f"{summary.settings or 'rows chosen in a way not said'} ({floor}{cases})"


def _draw(grid: Grid, cases: Sequence[Case], looks: Looks, width: float) -> Figure:
    shown = [(case, grid.headline(case) or (None,)) for case in cases]
    blocks = [
        Block(
            case_name(case.key),
            "" if case.counted else str(case.standing),
            tuple(Line(_label(row), _value(case, row), muted=not case.counted) for row in rows),
        )
        for case, rows in shown
    ]
    frame = row_frame(blocks, width, _legend(shown, looks))
    for (case, rows), places in zip(shown, frame.places, strict=True):
        for row, at in zip(rows, places, strict=True):
            _line(frame.axes, case, row, at, looks)
    share_axis(frame.axes, "attack success rate, with 95 % intervals")
    return frame.figure


def _label(row: Pooled | None) -> str:
    if row is None:
        return "P2P not measured"
    return f"P2P, {chosen_name(row)}" if chosen_name(row) else "P2P"


def _value(case: Case, row: Pooled | None) -> str:
    before = case.undefended.attack_success_rate if case.undefended else None
    after = row.attack_success_rate if row else None
    said = [f"{rate.value:.2f}" for rate in (before, after) if rate and rate.n]
    n = after.n if after else before.n if before else 0
    return f"{' → '.join(said)}, n = {n:,}"


def _line(axes: Axes, case: Case, row: Pooled | None, at: float, looks: Looks) -> None:
    hollow = not case.counted
    before = case.undefended.attack_success_rate if case.undefended else None
    after = row.attack_success_rate if row else None
    if before and after and before.n and after.n:
        axes.plot(
            [after.value, before.value],
            [at, at],
            color="#c5ccd5",
            linewidth=3,
            zorder=1,
            solid_capstyle="round",
        )
    if before and case.undefended:
        mark(axes, before, at, looks.of(case.undefended), hollow=hollow)
    if row and after:
        mark(axes, after, at, looks.of(row), hollow=hollow)
    floor = row.floor if row else case.undefended.floor if case.undefended else None
    if floor and floor.n:
        axes.plot(floor.value, at, marker="|", markersize=15, markeredgewidth=2, color=FLOOR, zorder=2)


def _legend(shown: Sequence[tuple[Case, Sequence[Pooled | None]]], looks: Looks) -> list[Line2D]:
    handles: dict[str, Line2D] = {}
    for case, rows in shown:
        if case.undefended:
            handles.setdefault("undefended", handle(looks.of(case.undefended), "undefended"))
        for row in filter(None, rows):
            name = f"P2P, {selection_of(row)}" if selection_of(row) else "P2P guarded"
            handles.setdefault(name, handle(looks.of(row), name))
    floor = Line2D(
        [], [], linestyle="none", marker="|", markersize=12, markeredgewidth=2, color=FLOOR, label="floor"
    )
    hollow = [
        case.undefended for case, _ in shown if case.standing is Standing.NOT_IMPLANTED and case.undefended
    ]
    more = [handle(looks.of(hollow[0]), "hollow: not counted", hollow=True)] if hollow else []
    return [*handles.values(), floor, *more]


def _words(grid: Grid, case: Case) -> str:
    before = case.undefended.attack_success_rate if case.undefended else None
    parts = [f"undefended {before.value:.2f}"] if before and before.n else []
    parts += [
        f"{chosen_name(row) or 'guarded'} {row.attack_success_rate.value:.2f}, floor {row.floor.value:.2f}"
        for row in grid.headline(case)
        if row.attack_success_rate and row.floor
    ]
    return f"{case_name(case.key)}: {'; '.join(parts)}."
