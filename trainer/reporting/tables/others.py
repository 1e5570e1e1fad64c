"""P2P beside the other defences, on the same rows and seeds."""

from trainer.reporting.grid import Case, Grid
from trainer.reporting.names import GUARDED, case_name, row_name
from trainer.reporting.pooling import Pooled
from trainer.reporting.rivals import rivals
from trainer.reporting.tables.table import Cell, Group, Row, Table, rate_cell

_FEW = 3


def others_table(grid: Grid) -> Table:
    """Return one row for each defence, the lowest ASR first, of every counted case on which several others were measured.

    Args:
        grid: What was measured.
    """
    groups = (Group(case_name(case.key), _rows(grid, case)) for case in grid.counted)
    return Table(
        title="Other defences",
        columns=("defence", "ASR", "floor", "CA"),
        groups=tuple(group for group in groups if group.rows),
        note="Share, k/n and 95 % Wilson interval, over the seeds that all have.",
    )


def _rows(grid: Grid, case: Case) -> tuple[Row, ...]:
    others = rivals(case)
    if len(others) < _FEW:
        return ()
    undefended = (case.undefended,) if case.undefended else ()
    found = (*undefended, *grid.headline(case), *others)
    seeds = set.intersection(*(set(row.seeds) for row in found))
    if not seeds:
        return ()
    return tuple(_row(row) for row in sorted((row.only(seeds) for row in found), key=_asr))


def _asr(row: Pooled) -> float:
    return row.attack_success_rate.value if row.attack_success_rate else 1.0


def _row(row: Pooled) -> Row:
    rates = (row.attack_success_rate, row.floor, row.clean_accuracy)
    return Row((Cell(row_name(row)), *map(rate_cell, rates)), "guarded" if row.defence == GUARDED else "")
