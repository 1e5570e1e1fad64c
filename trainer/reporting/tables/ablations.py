"""What each part of a defence is worth: the same rows with and without it."""

from p2p.metrics.rate import Rate
from trainer.reporting.difference import difference
from trainer.reporting.grid import Case, Grid, baseline
from trainer.reporting.names import ablated, case_name, defence_name, row_name
from trainer.reporting.pooling import Pooled
from trainer.reporting.tables.cases import remark
from trainer.reporting.tables.table import EMPTY, Cell, Group, Row, Table, rate_cell


def ablations_table(grid: Grid) -> Table:
    """Return each changed row below the row that it changes.

    Args:
        grid: What was measured.
    """
    return Table(
        title="With and without",
        columns=("defence, and what is changed", "ASR", "change in ASR", "CA", "change in CA"),
        groups=tuple(_group(case) for case in grid.cases if case.ablations),
        note="A change is the changed row less the unchanged one above it, with Newcombe's 95 % interval: where the interval holds 0, "
        "these runs do not tell the two apart. Less ASR is better, more CA is better.",
    )


def _group(case: Case) -> Group:
    rows: list[Row] = []
    for start in case.rows:
        changed = [row for row in case.ablations if baseline(case, row) == start]
        if changed:
            rows.append(_row(start, None))
            rows.extend(_row(row, start) for row in changed)
    return Group(case_name(case.key), tuple(rows), remark(case))


def _row(row: Pooled, start: Pooled | None) -> Row:
    name = ", ".join(f"{key} = {value}" for key, value in ablated(row)) if start else row_name(row)
    asr = row.attack_success_rate
    cells = (
        Cell(name),
        rate_cell(asr),
        _change(asr, start.attack_success_rate if start else None),
        rate_cell(row.clean_accuracy),
        _change(row.clean_accuracy, start.clean_accuracy if start else None),
    )
    return Row(cells, "" if start else "guarded")


def _change(rate: Rate | None, start: Rate | None) -> Cell:
    if not rate or not start or not rate.n or not start.n:
        return EMPTY
    change = difference(rate, start)
    return Cell(f"{change.value:+.3f}", f"{change.interval.low:+.3f} to {change.interval.high:+.3f}")


def takeaway(grid: Grid) -> str:
    """Name the change that costs most ASR, over the cases that count, and say whether its interval leaves 0 out.

    Args:
        grid: What was measured.
    """
    changes = [
        (difference(after, before), row, case)
        for case in grid.counted
        for row in case.ablations
        if (start := baseline(case, row))
        and (after := row.attack_success_rate)
        and (before := start.attack_success_rate)
        and after.n
        and before.n
    ]
    if not changes:
        return "Nothing was ablated in a case that counts."
    worst, row, case = max(changes, key=lambda change: change[0].value)
    if worst.value <= 0:
        return f"None of the {len(changes)} changes raises ASR."
    name = ", ".join(f"{key} = {value}" for key, value in ablated(row))
    sure = "its interval leaves 0 out" if worst.interval.low > 0 else "its interval holds 0"
    return (
        f"Of {len(changes)} changes, {name} raises ASR most: {worst.value:+.3f} for {defence_name(row.defence)}, "
        f"{case_name(case.key)}; {sure}."
    )
