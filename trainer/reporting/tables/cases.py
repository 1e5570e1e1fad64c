"""The headline table: every defence on every case, with all figures."""

from trainer.reporting.difference import difference
from trainer.reporting.grid import Case, Grid, Standing
from trainer.reporting.names import GUARDED, UNDEFENDED, case_name, row_name
from trainer.reporting.pooling import Pooled
from trainer.reporting.tables.table import EMPTY, Cell, Group, Row, Table, number_cell, rate_cell

_COLUMNS = ("defence", "CA", "ASR", "floor", "ASR - floor", "extension rate")


def cases_table(grid: Grid) -> Table:
    """Return one group for each case, the never-poisoned model last in each.

    Args:
        grid: What was measured.
    """
    quality = any(row.quality is not None for case in grid.cases for row in case.rows)
    return Table(
        title="All figures by case and defence",
        columns=(*_COLUMNS, "ROUGE-L F1") if quality else _COLUMNS,
        groups=tuple(_group(case, quality=quality) for case in grid.cases),
        note="Share, k/n and 95 % Wilson interval; over several seeds k and n are added up and each seed's share is listed. "
        "ASR - floor has Newcombe's 95 % interval.",
    )


def remark(case: Case) -> str:
    """Say why a case is not counted; empty where it is."""
    asr = case.undefended.attack_success_rate if case.undefended else None
    if case.standing is Standing.NOT_IMPLANTED and asr:
        return f"attack not implanted (undefended ASR {asr.value:.3f}): excluded from claims"
    if case.standing is Standing.NO_UNDEFENDED:
        return "undefended model not measured: excluded from claims"
    return ""


def _group(case: Case, *, quality: bool) -> Group:
    rows = [Row(_cells(row, row_name(row), quality=quality), _kind(row)) for row in case.rows]
    if case.never_poisoned:
        rows.append(Row(_cells(case.never_poisoned, "never-poisoned", quality=quality), "reference"))
    return Group(case_name(case.key), tuple(rows), remark(case))


def _cells(row: Pooled, name: str, *, quality: bool) -> tuple[Cell, ...]:
    asr, floor = row.attack_success_rate, row.floor
    above = difference(asr, floor) if asr and floor and asr.n and floor.n else None
    cells = (
        Cell(
            name, f"seeds {', '.join(map(str, row.seeds))}" if len(row.seeds) > 1 else f"seed {row.seeds[0]}"
        ),
        rate_cell(row.clean_accuracy, row.by_seed(lambda figures: figures.clean_accuracy)),
        rate_cell(asr, row.by_seed(lambda figures: figures.attack_success_rate)),
        rate_cell(floor, row.by_seed(lambda figures: figures.floor)),
        Cell(f"{above.value:+.3f}", f"{above.interval.low:+.3f} to {above.interval.high:+.3f}")
        if above
        else EMPTY,
        rate_cell(row.extension_rate, row.by_seed(lambda figures: figures.extension_rate)),
    )
    return (*cells, number_cell(row.quality, "{:.3f}")) if quality else cells


def _kind(row: Pooled) -> str:
    return {GUARDED: "guarded", UNDEFENDED: "undefended"}.get(row.defence, "")
