"""The points of lines over one quantity, such as the poison rate, in figures."""

from collections.abc import Sequence

from trainer.reporting.sweeps import Point, Series, Sweep
from trainer.reporting.tables.cases import quality_cell
from trainer.reporting.tables.table import Cell, Group, Row, Table, rate_cell


def sweeps_table(title: str, quantity: str, sweeps: Sequence[Sweep]) -> Table:
    """Return a row for each point of each line.

    Args:
        title: The table's.
        quantity: What the lines are drawn over: a column's name.
        sweeps: The lines.
    """
    quality = any(
        point.row.quality is not None for sweep in sweeps for each in sweep.series for point in each.points
    )
    columns = ("defence", quantity, "ASR", "floor", "CA")
    return Table(
        title=title,
        columns=(*columns, "ROUGE-L F1") if quality else columns,
        groups=tuple(
            Group(
                sweep.title,
                tuple(row for each in sweep.series for row in _rows(each, sweep, quality=quality)),
            )
            for sweep in sweeps
        ),
        note="k and n are added up over the seeds that a point was measured with.",
    )


def _rows(series: Series, sweep: Sweep, *, quality: bool) -> list[Row]:
    return [
        Row(_cells("" if at else series.name, sweep.write(point.x), point, quality=quality))
        for at, point in enumerate(series.points)
    ]


def _cells(name: str, quantity: str, point: Point, *, quality: bool) -> tuple[Cell, ...]:
    row = point.row
    cells = (
        Cell(name),
        Cell(quantity),
        rate_cell(row.attack_success_rate),
        rate_cell(row.floor),
        rate_cell(row.clean_accuracy),
    )
    return (*cells, quality_cell(row)) if quality else cells
