"""A table as plain data."""

import math
from collections.abc import Container
from typing import NamedTuple

from p2p.metrics.rate import Rate
from trainer.reporting.difference import difference


class Cell(NamedTuple):
    """One cell.

    Attributes:
        text: What is read first.
        detail: What stands behind it, such as k/n and interval.
        note: A further line, such as each seed's value in the order of the seeds.
    """

    text: str
    detail: str = ""
    note: str = ""


class Row(NamedTuple):
    """One row.

    Attributes:
        cells: As many as there are columns.
        kind: How it stands out: ``""``, ``guarded``, ``undefended``, ``reference`` or ``excluded``.
    """

    cells: tuple[Cell, ...]
    kind: str = ""


class Group(NamedTuple):
    """Rows under one heading.

    Attributes:
        title: The heading, or nothing.
        rows: Its rows.
        remark: Said beside the heading, such as that the case does not count.
    """

    title: str
    rows: tuple[Row, ...]
    remark: str = ""


class Table(NamedTuple):
    """A table.

    Attributes:
        title: What it shows.
        columns: The headings; the first column names the rows.
        groups: Its rows.
        note: How to read it.
        text_columns: Indices of columns that hold words; all others are numbers.
    """

    title: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    note: str = ""
    text_columns: frozenset[int] = frozenset({0})


EMPTY = Cell("-")


def without(table: Table, columns: Container[str]) -> Table:
    """Return a table without some of its columns.

    Args:
        table: The table.
        columns: Headings of columns to leave out.
    """
    kept = [at for at, name in enumerate(table.columns) if name not in columns]
    groups = tuple(
        group._replace(
            rows=tuple(row._replace(cells=tuple(row.cells[at] for at in kept)) for row in group.rows)
        )
        for group in table.groups
    )
    text = frozenset(new for new, old in enumerate(kept) if old in table.text_columns)
    return table._replace(columns=tuple(table.columns[at] for at in kept), groups=groups, text_columns=text)


def without_empty(table: Table) -> Table:
    """Return a table without the columns that say nothing in any row.

    Args:
        table: The table.
    """
    rows = [row.cells for group in table.groups for row in group.rows]
    said = {
        name for at, name in enumerate(table.columns) if any(cells[at] != EMPTY for cells in rows) or not rows
    }
    return without(table, set(table.columns) - said)


def rate_cell(rate: Rate | None, by_seed: dict[int, Rate] | None = None) -> Cell:
    """Write a share with k/n and its interval.

    Args:
        rate: The share; None where it does not apply.
        by_seed: Each seed's share; listed when there are several.
    """
    if rate is None or not rate.n:
        return EMPTY
    low, high = rate.interval
    seeds = by_seed or {}
    note = f"by seed: {', '.join(f'{one.value:.3f}' for one in seeds.values())}" if len(seeds) > 1 else ""
    return Cell(f"{rate.value:.3f}", f"{rate.k}/{rate.n}, {low:.3f}-{high:.3f}", note)


def difference_cell(first: Rate | None, second: Rate | None) -> Cell:
    """Write first - second with Newcombe's interval.

    Args:
        first: The share that is compared; None where it does not apply.
        second: What it is compared with.
    """
    if not first or not second or not first.n or not second.n:
        return EMPTY
    value, (low, high) = difference(first, second)
    return Cell(f"{value:+.3f}", f"{low:+.3f} to {high:+.3f}")


def number_cell(value: float | None, pattern: str = "{:,.0f}") -> Cell:
    """Write a number.

    Args:
        value: None or NaN where it does not apply.
        pattern: How it is written.
    """
    return EMPTY if value is None or math.isnan(value) else Cell(pattern.format(value))
