"""The points of lines over one quantity, such as the poison rate, in figures."""

from collections.abc import Iterable

from trainer.reporting.sweeps import Point, Series, Sweep
from trainer.reporting.tables.table import Cell, Group, Row, Table, rate_cell


def sweeps_table(title: str, quantity: str, sweeps: Iterable[Sweep]) -> Table:
    """Return a row for each point of each line.

    Args:
        title: The table's.
        quantity: What the lines are drawn over: a column's name.
        sweeps: The lines.
    """
    return Table(
        title=title,
        columns=("defence", quantity, "ASR", "floor", "CA"),
        groups=tuple(
            Group(sweep.title, tuple(row for each in sweep.series for row in _rows(each, sweep)))
            for sweep in sweeps
        ),
        note="k and n are added up over the seeds that a point was measured with.",
    )


def _rows(series: Series, sweep: Sweep) -> list[Row]:
    return [
        _row("" if at else series.name, sweep.write(point.x), point) for at, point in enumerate(series.points)
    ]


def _row(name: str, quantity: str, point: Point) -> Row:
    row = point.row
    cells = (
        Cell(name),
        Cell(quantity),
        rate_cell(row.attack_success_rate),
        rate_cell(row.floor),
        rate_cell(row.clean_accuracy),
    )
    return Row(cells)
