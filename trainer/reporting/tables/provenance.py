"""Which software measured the cells, and when."""

from collections import Counter, defaultdict

from trainer.reporting.grid import Grid
from trainer.reporting.tables.table import Cell, Group, Row, Table


def provenance_table(grid: Grid) -> Table:
    """Return suites, seeds, dates and versions, each value with its number of cells where there are several.

    Args:
        grid: What was measured.
    """
    facts: dict[str, Counter[str]] = defaultdict(Counter)
    for cell in grid.results:
        facts["suite"][cell.suite] += 1
        facts["seed"][str(cell.case.seed)] += 1
        for name, version in cell.versions.items():
            facts[name][version] += 1
    rows = [Row((Cell("cells"), Cell(str(len(grid.results)))))]
    dates = sorted(cell.finished for cell in grid.results if cell.finished)
    if dates:
        rows.append(Row((Cell("measured from"), Cell(dates[0]))))
        rows.append(Row((Cell("measured to"), Cell(dates[-1]))))
    rows.extend(Row((Cell(name), Cell(_values(values)))) for name, values in facts.items())
    return Table(
        "Versions and dates", ("", "value"), (Group("", tuple(rows)),), text_columns=frozenset({0, 1})
    )


def _values(values: Counter[str]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return ", ".join(f"{value} ({count} cells)" for value, count in sorted(values.items()))
