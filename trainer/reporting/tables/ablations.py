"""What each part of a defence is worth: the same rows with and without it."""

from trainer.reporting.difference import difference
from trainer.reporting.grid import Case, Grid, baseline
from trainer.reporting.names import ablated, case_name, defence_name, row_name
from trainer.reporting.pooling import Pooled
from trainer.reporting.tables.cases import remark
from trainer.reporting.tables.table import Cell, Group, Row, Table, difference_cell, rate_cell


def ablations_table(grid: Grid) -> Table:
    """Return each changed row below the row that it changes.

    Args:
        grid: What was measured.
    """
    return Table(
        title="With and without",
        columns=("defence, and what is changed", "ASR", "change in ASR", "CA", "change in CA"),
        groups=tuple(_group(case) for case in grid.cases if case.ablations),
        note="A change is the changed row less the unchanged one above it, over the same seeds, with Newcombe's 95 % interval: where the interval holds 0, "
        "these runs do not tell the two apart. Less ASR is better, more CA is better.",
    )


def _group(case: Case) -> Group:
    rows: list[Row] = []
    for start in case.rows:
        changed = [row for row in case.ablations if baseline(case, row) == start]
        for seeds in dict.fromkeys(row.seeds for row in changed):
            same = start.only(seeds)
            rows.append(_row(same, None))
            rows.extend(_row(row.only(same.seeds), same) for row in changed if row.seeds == seeds)
    return Group(case_name(case.key), tuple(rows), remark(case))


def _row(row: Pooled, start: Pooled | None) -> Row:
    name = ", ".join(f"{key} = {value}" for key, value in ablated(row)) if start else row_name(row)
    asr = row.attack_success_rate
    cells = (
        Cell(name, f"seed {', '.join(map(str, row.seeds))}"),
        rate_cell(asr),
        difference_cell(asr, start.attack_success_rate if start else None),
        rate_cell(row.clean_accuracy),
        difference_cell(row.clean_accuracy, start.clean_accuracy if start else None),
    )
    return Row(cells, "" if start else "guarded")


def takeaway(grid: Grid) -> str:
    """Name the change that costs most ASR, over the cases that count, and say whether its interval leaves 0 out.

    Args:
        grid: What was measured.
    """
    changes = [
        (difference(after, before), row, case)
        for case in grid.counted
        for one in case.ablations
        if (unchanged := baseline(case, one))
        for start in [unchanged.only(one.seeds)]
        for row in [one.only(start.seeds)]
        if (after := row.attack_success_rate)
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
