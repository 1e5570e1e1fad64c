"""How well poisoned rows were kept out of the re-poisoned set S."""

from collections.abc import Sequence
from statistics import fmean

from p2p.metrics.rate import Rate
from trainer.bench.results import CellResult, SelectionFigures
from trainer.reporting.grid import Case, Grid
from trainer.reporting.names import GUARDED, case_name, settings_name
from trainer.reporting.pooling import Pooled
from trainer.reporting.tables.table import Cell, Group, Row, Table, number_cell, rate_cell


def selection_table(grid: Grid) -> Table:
    """Return one row for each way of choosing rows, by case.

    Args:
        grid: What was measured.
    """
    groups = (
        Group(case_name(case.key), tuple(_row(row) for row in selecting(case))) for case in grid.attacked
    )
    return Table(
        title="Rows chosen for S",
        columns=(
            "chosen by",
            "rows kept",
            "poisoned rows in the data",
            "of these kept in S",
            "share of S poisoned",
            "seconds",
            "share of the other training time",
        ),
        groups=tuple(group for group in groups if group.rows),
        note="Rows are added up over the seeds, seconds are their mean; with ≤, they hold what the frozen layers took on each row as well, "
        "whose states the training uses and which is otherwise counted as the training's. Fewer poisoned rows in S is better.",
    )


def selecting(case: Case) -> tuple[Pooled, ...]:
    """Return the P2P rows of a case that say how S was chosen.

    Args:
        case: The case.
    """
    return tuple(row for row in case.of(GUARDED) if chosen(row))


def chosen(row: Pooled) -> tuple[SelectionFigures, ...]:
    """Return the selection figures of each seed that has them.

    Args:
        row: The row.
    """
    return tuple(cell.selection for cell in row.cells if cell.selection)


def kept_of_poisoned(figures: Sequence[SelectionFigures]) -> Rate:
    """Return which share of the poisoned rows got into S.

    Trusted rows are given, not chosen from the training set, so that 0 may be kept of many.

    Args:
        figures: One a seed.
    """
    return Rate(k=sum(each.kept_poisoned for each in figures), n=sum(each.poisoned for each in figures))


def _row(row: Pooled) -> Row:
    figures = chosen(row)
    kept = sum(each.kept for each in figures)
    poisoned = sum(each.kept_poisoned for each in figures)
    cells = (
        Cell(settings_name(row)),
        number_cell(kept),
        number_cell(sum(each.poisoned for each in figures)),
        rate_cell(kept_of_poisoned(figures)),
        rate_cell(Rate(k=poisoned, n=kept)),
        number_cell(fmean(each.seconds for each in figures), _at_most(figures) + "{:,.1f}"),
        _share(row.cells, _at_most(figures)),
    )
    return Row(cells)


def _at_most(figures: Sequence[SelectionFigures]) -> str:
    """Return what stands before seconds: in older cells, those that the training shares are among them."""
    return "≤ " if any(each.shared_seconds is None and each.seconds for each in figures) else ""


def _share(cells: Sequence[CellResult], at_most: str) -> Cell:
    shares = [
        cell.selection.seconds / (cell.cost.seconds - cell.selection.seconds)
        for cell in cells
        if cell.selection and cell.cost.seconds > cell.selection.seconds
    ]
    return number_cell(100 * fmean(shares) if shares else None, at_most + "{:.1f} %")
