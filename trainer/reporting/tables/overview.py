"""The short table on top: undefended against guarded over all cases that count."""

from collections.abc import Sequence

from trainer.reporting.names import case_name
from trainer.reporting.summary import Summary
from trainer.reporting.tables.table import EMPTY, Cell, Group, Row, Table, difference_cell, rate_cell


def overview_table(summaries: Sequence[Summary]) -> Table:
    """Return one row for each way of choosing rows.

    Args:
        summaries: At least one.
    """
    return Table(
        title="All cases that count, together",
        columns=(
            "rows chosen by",
            "cases",
            "ASR undefended",
            "ASR guarded",
            "floor guarded",
            "largest ASR - floor",
            "CA undefended",
            "CA guarded",
            "CA change",
        ),
        groups=(Group("", tuple(Row(_cells(each)) for each in summaries)),),
        note="k and n are added up over cases and seeds. The undefended columns cover the same cases and seeds as the guarded ones. "
        "CA is of classification and maths where there are such, and else the share of replies without the attacker's answer.",
        text_columns=frozenset({0, 5}),
    )


def _cells(summary: Summary) -> tuple[Cell, ...]:
    worst = summary.worst
    above = worst.above_floor if worst else None
    return (
        Cell(summary.settings or "not said"),
        Cell(str(len(summary.pairs))),
        rate_cell(summary.asr_before),
        rate_cell(summary.asr_after),
        rate_cell(summary.floor),
        Cell(f"{above.value:+.3f}", case_name(worst.case.key)) if worst and above else EMPTY,
        rate_cell(summary.ca_before),
        rate_cell(summary.ca_after),
        difference_cell(summary.ca_after, summary.ca_before),
    )
