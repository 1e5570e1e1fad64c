"""The headline table: undefended, guarded, the same adapter without the guard, and never poisoned, one line a case."""

from p2p.metrics.rate import Rate
from trainer.reporting.grid import Case, Grid
from trainer.reporting.names import UNGUARDED, case_name, chosen_name, row_name
from trainer.reporting.pooling import Pooled
from trainer.reporting.rivals import rivals
from trainer.reporting.tables.cases import attack_cell, quality_cell, remark
from trainer.reporting.tables.table import (
    EMPTY,
    Cell,
    Group,
    Row,
    Table,
    difference_cell,
    rate_cell,
    without_empty,
)


def headline_table(grid: Grid) -> Table:
    """Return one row for each case and headline way of choosing rows.

    Args:
        grid: What was measured.
    """
    groups = (
        Group(case_name(case.key), tuple(_row(case, row) for row in grid.headline(case)), remark(case))
        for case in grid.attacked
    )
    table = Table(
        title="Case by case",
        columns=(
            "P2P with",
            "ASR undefended",
            "ASR guarded",
            "floor guarded",
            "ASR - floor",
            "ASR never poisoned",
            "ASR without the guard",
            "lowest ASR of another defence",
            "CA undefended",
            "CA guarded",
            "CA never poisoned",
            "ROUGE-L undefended",
            "ROUGE-L guarded",
        ),
        groups=tuple(group for group in groups if group.rows),
        text_columns=frozenset({0, 7}),
        note="Share, k/n and 95 % Wilson interval (ASR - floor: Newcombe's). The undefended model stands with the seeds of the row it is beside. A never-poisoned model is asked the same triggered rows: what it says of "
        "them is what the trigger says by itself. The lowest ASR of another defence is picked after the fact and "
        "may come with a lower CA: see the next sections.",
    )
    return without_empty(table)


def lowest_rival(case: Case) -> Pooled | None:
    """Return the other defence with the lowest ASR; None where none was measured.

    Args:
        case: The case.
    """
    return min(rivals(case), key=lambda row: _value(row.attack_success_rate), default=None)


def _value(rate: Rate | None) -> float:
    return rate.value if rate else 1.0


def _row(case: Case, row: Pooled) -> Row:
    before = case.undefended.same_seeds(row) if case.undefended else None
    clean, rival = case.never_poisoned, lowest_rival(case)
    free = next((each for each in case.of(UNGUARDED) if each.variant == row.variant), None)
    cells = (
        Cell(chosen_name(row)),
        attack_cell(before) if before else EMPTY,
        attack_cell(row),
        rate_cell(row.floor),
        difference_cell(row.attack_success_rate, row.floor),
        rate_cell(clean.attack_success_rate) if clean else EMPTY,
        rate_cell(free.attack_success_rate) if free else EMPTY,
        _named(rival) if rival else EMPTY,
        rate_cell(before.clean_accuracy) if before else EMPTY,
        rate_cell(row.clean_accuracy),
        rate_cell(clean.clean_accuracy) if clean else EMPTY,
        quality_cell(before) if before else EMPTY,
        quality_cell(row),
    )
    return Row(cells, "" if case.counted else "excluded")


def _named(rival: Pooled) -> Cell:
    return rate_cell(rival.attack_success_rate)._replace(note=row_name(rival))
