"""Every defence on every case, with all figures."""

from collections.abc import Sequence

from p2p.metrics.rate import Rate
from trainer.reporting.grid import Case, Grid, Standing
from trainer.reporting.names import GUARDED, UNDEFENDED, case_name, row_name
from trainer.reporting.pooling import Pooled
from trainer.reporting.tables.table import Cell, Group, Row, Table, difference_cell, number_cell, rate_cell

_COLUMNS = ("defence", "CA", "ASR", "floor", "ASR - floor", "extension rate")


def cases_tables(grid: Grid) -> tuple[Table, ...]:
    """Return one table a kind of task, with one group for each case and the never-poisoned model last in each.

    Args:
        grid: What was measured.
    """
    tasks = {
        case.key.task: [each for each in grid.cases if each.key.task == case.key.task] for case in grid.cases
    }
    return tuple(_table(task, grid, cases) for task, cases in tasks.items())


def _table(task: str, grid: Grid, cases: Sequence[Case]) -> Table:
    quality = any(row.quality is not None for case in cases for row in case.rows)
    shown_elsewhere = {id(case.never_poisoned) for case in grid.attacked}
    return Table(
        title=f"All figures: {task}",
        columns=(*_COLUMNS, "ROUGE-L F1") if quality else _COLUMNS,
        groups=tuple(
            _group(case, quality=quality)
            for case in cases
            if any(id(row) not in shown_elsewhere for row in case.rows)
        ),
        note="Share, k/n and 95 % Wilson interval; over several seeds k and n are added up and each seed's share is listed in the order of "
        "the seeds. ASR - floor has Newcombe's 95 % interval, ROUGE-L a bootstrap over the rows (1,000 draws, percentiles). In free text CA is the "
        "share of clean rows whose answer is free of the attacker's; in maths ASR and floor count the rows that are solved without the trigger.",
    )


def remark(case: Case) -> str:
    """Say why a case is not counted; empty where it is."""
    asr = case.undefended.attack_success_rate if case.undefended else None
    if case.standing is Standing.NOT_IMPLANTED and asr:
        found = (
            f"undefended ASR {asr.value:.3f}" if asr.n else "no row solved that an attack could be seen on"
        )
        return f"attack not implanted ({found}): excluded from claims"
    if case.standing is Standing.NO_UNDEFENDED:
        return "undefended model not measured: excluded from claims"
    return ""


def attack_cell(row: Pooled, by_seed: dict[int, Rate] | None = None) -> Cell:
    """Write ASR; in maths, where it counts the rows that are solved, over all rows as well.

    Args:
        row: The defence on the case.
        by_seed: Each seed's share; listed when there are several.
    """
    cell, every = rate_cell(row.attack_success_rate, by_seed), row.attack_success_on_all
    if every is None or not every.n:
        return cell
    of_all = f"of all rows {every.value:.3f} ({every.k}/{every.n})"
    return cell._replace(note="; ".join(filter(None, (cell.note, of_all))))


def quality_cell(row: Pooled) -> Cell:
    """Write ROUGE-L with its interval.

    Args:
        row: The defence on the case.
    """
    found, ends = number_cell(row.quality, "{:.3f}"), row.quality_interval
    return found._replace(detail=f"{ends.low:.3f}-{ends.high:.3f}") if ends else found


def _group(case: Case, *, quality: bool) -> Group:
    rows = [Row(_cells(row, row_name(row), quality=quality), _kind(row)) for row in case.rows]
    if case.never_poisoned:
        rows.append(Row(_cells(case.never_poisoned, "never-poisoned", quality=quality), "reference"))
    return Group(case_name(case.key), tuple(rows), remark(case))


def _cells(row: Pooled, name: str, *, quality: bool) -> tuple[Cell, ...]:
    asr, floor = row.attack_success_rate, row.floor
    cells = (
        Cell(
            name, f"seeds {', '.join(map(str, row.seeds))}" if len(row.seeds) > 1 else f"seed {row.seeds[0]}"
        ),
        rate_cell(row.clean_accuracy, row.by_seed(lambda figures: figures.clean_accuracy)),
        attack_cell(row, row.by_seed(lambda figures: figures.attack_success_rate)),
        rate_cell(floor, row.by_seed(lambda figures: figures.floor)),
        difference_cell(asr, floor),
        rate_cell(row.extension_rate, row.by_seed(lambda figures: figures.extension_rate)),
    )
    return (*cells, quality_cell(row)) if quality else cells


def _kind(row: Pooled) -> str:
    return {GUARDED: "guarded", UNDEFENDED: "undefended"}.get(row.defence, "")
