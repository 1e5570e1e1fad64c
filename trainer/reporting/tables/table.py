"""A table as plain data."""

import math
from typing import NamedTuple

from p2p.metrics.rate import Rate


class Cell(NamedTuple):
    """One cell.

    Attributes:
        text: What is read first.
        detail: What stands behind it, such as k/n and interval.
        notes: Further lines, such as each seed's value.
    """

    text: str
    detail: str = ""
    notes: tuple[str, ...] = ()


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


EMPTY = Cell("–")  # noqa: RUF001 - an en dash, the usual sign for "does not apply"


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
    notes = tuple(f"seed {seed}: {one.value:.3f}" for seed, one in seeds.items()) if len(seeds) > 1 else ()
    return Cell(f"{rate.value:.3f}", f"{rate.k}/{rate.n}, {low:.3f}-{high:.3f}", notes)


def number_cell(value: float | None, pattern: str = "{:,.0f}") -> Cell:
    """Write a number.

    Args:
        value: None or NaN where it does not apply.
        pattern: How it is written.
    """
    return EMPTY if value is None or math.isnan(value) else Cell(pattern.format(value))
