"""The README's figures are those of the cells that are kept."""

import pytest

from scripts.write_results import (
    EVERYTHING,
    FIGURE,
    OTHERS,
    README,
    block,
    counted,
    everything,
    figure,
    filled,
    measured,
    others,
)
from trainer.reporting.charts.before_after import before_after_charts
from trainer.reporting.charts.style import Looks
from trainer.reporting.tables.headline import headline_table
from trainer.reporting.tables.table import without


def test_the_tables_and_the_picture_are_those_of_the_cells() -> None:
    grid = measured()
    readme = README.read_text(encoding="utf-8")
    assert filled(readme, block(grid)) == readme, "run scripts/write_results.py"
    assert FIGURE.read_text(encoding="utf-8") == figure(grid), "run scripts/write_results.py"
    assert EVERYTHING.read_text(encoding="utf-8") == everything(grid), "run scripts/write_results.py"
    assert OTHERS.read_text(encoding="utf-8") == others(grid), "run scripts/write_results.py"


def test_the_picture_has_every_case_of_the_table() -> None:
    grid = measured()
    (chart,) = before_after_charts(grid, Looks(()), most=len(grid.attacked))
    assert all(group.title in chart.alt for group in headline_table(grid).groups)


def test_a_case_that_no_claim_rests_on_stands_on_the_page_alone() -> None:
    table = headline_table(measured())
    first, *others = table.groups
    excluded = first._replace(remark="attack not implanted")
    assert counted(table._replace(groups=(excluded, *others))).groups == tuple(
        group for group in others if not group.remark
    )


def test_a_column_is_left_out_of_every_row() -> None:
    table = headline_table(measured())
    shorter = without(table, frozenset({"ASR - floor"}))
    assert "ASR - floor" not in shorter.columns
    assert {len(row.cells) for group in shorter.groups for row in group.rows} == {len(table.columns) - 1}


def test_a_readme_without_markers_is_left_alone() -> None:
    with pytest.raises(ValueError, match="lacks"):
        filled("nothing", "something")
