"""The defences that do at least as well as P2P somewhere, as a table."""

from collections.abc import Sequence

from trainer.reporting.names import case_name, row_name
from trainer.reporting.rivals import Ahead
from trainer.reporting.tables.table import Cell, Group, Row, Table, rate_cell


def rivals_table(found: Sequence[Ahead]) -> Table:
    """Return one row for each defence that is not beaten.

    Args:
        found: See :func:`trainer.reporting.rivals.ahead`.
    """
    rows = tuple(
        Row(
            (
                Cell(case_name(each.case.key)),
                Cell(row_name(each.rival)),
                Cell(row_name(each.guarded)),
                rate_cell(each.rival.attack_success_rate),
                rate_cell(each.guarded.attack_success_rate),
                rate_cell(each.rival.clean_accuracy),
                rate_cell(each.guarded.clean_accuracy),
            )
        )
        for each in found
    )
    return Table(
        title="Where another defence does at least as well as P2P",
        columns=("case", "defence", "against", "its ASR", "P2P's ASR", "its CA", "P2P's CA"),
        groups=(Group("", rows),),
        note="No more ASR and no less CA, point values compared; look at the intervals before calling it a difference.",
        text_columns=frozenset({0, 1, 2}),
    )
