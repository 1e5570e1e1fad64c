"""What each defence costs, as a table."""

from collections.abc import Sequence

from trainer.reporting.costs import DefenceCost
from trainer.reporting.tables.table import Cell, Group, Row, Table, number_cell, without_empty


def cost_table(entries: Sequence[DefenceCost]) -> Table:
    """Return one row for each defence.

    Args:
        entries: See :func:`trainer.reporting.costs.costs`.
    """
    table = Table(
        title="Cost by defence",
        columns=(
            "defence",
            "cells",
            "training tokens",
            "training seconds",
            "times undefended tokens",
            "peak memory, GiB",
            "extra prompt tokens",
            "queries a request",
            "counted besides",
        ),
        groups=(Group("", tuple(Row(_cells(entry)) for entry in entries)),),
        note="Medians over cells with the range behind them; memory is the highest peak. Seconds are of the day and the machine they were measured on; times undefended tokens is taken within one case and seed. "
        "Equal trainings are done once and shared: the P2P adapter without the guard is the guarded one's. Queries are passes through a model, "
        "those of other models included. What a defence counted besides is its own; medians again.",
        text_columns=frozenset({0, 8}),
    )
    return without_empty(table)


def _cells(entry: DefenceCost) -> tuple[Cell, ...]:
    middle, low, high = entry.seconds
    trained = entry.tokens > 0 or high > 0
    return (
        Cell(entry.name),
        Cell(str(entry.cells)),
        number_cell(entry.tokens if trained else None),
        Cell(f"{middle:,.0f}", f"{low:,.0f} to {high:,.0f}") if trained else Cell("no training"),
        number_cell(entry.ratio, "{:.2f}"),
        number_cell(entry.peak_memory_gib, "{:.2f}"),
        number_cell(entry.extra_prompt_tokens, "{:g}"),
        number_cell(entry.queries, "{:g}"),
        Cell(
            ", ".join(f"{name.replace('_', ' ')} {value:,.4g}" for name, value in entry.details.items())
            or "-"
        ),
    )
