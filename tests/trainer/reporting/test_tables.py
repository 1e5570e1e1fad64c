import pytest

from p2p.metrics.rate import Rate
from tests.trainer.reporting.synthetic import cell
from trainer.bench.results import Cost, SelectionFigures
from trainer.reporting.gaps import gaps
from trainer.reporting.grid import make_grid
from trainer.reporting.markdown import markdown_page, markdown_table
from trainer.reporting.sections import make_sections
from trainer.reporting.summary import summarise
from trainer.reporting.tables.ablations import ablations_table
from trainer.reporting.tables.cases import cases_tables
from trainer.reporting.tables.headline import headline_table
from trainer.reporting.tables.others import others_table
from trainer.reporting.tables.selection import selection_table
from trainer.reporting.tables.table import EMPTY, Cell, Group, Row, Table, without_empty


def test_markdown_of_a_tiny_input():
    (table,) = cases_tables(make_grid([cell(asr=(95, 100), ca=(180, 200), floor=(10, 100))]))
    # Wilson: 180/200, 95/100 and 10/100; Newcombe, method 10: 95/100 - 10/100.
    assert markdown_table(table) == (
        "| case | defence | CA | ASR | floor | ASR - floor | extension rate |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| made-up, badnets:mn, 10 % of 2,400 rows | undefended (seed 0) | 0.900 (180/200, 0.851-0.934) | "
        "0.950 (95/100, 0.888-0.978) | 0.100 (10/100, 0.055-0.174) | +0.850 (+0.753 to +0.903) | - |"
    )


def test_each_seed_is_listed():
    (table,) = cases_tables(make_grid([cell(seed=0, asr=(95, 100)), cell(seed=1, asr=(91, 100))]))
    assert table.groups[0].rows[0].cells[2] == Cell("0.930", "186/200, 0.886-0.958", "by seed: 0.950, 0.910")


def test_of_maths_asr_over_all_rows_stands_beside_asr_over_solved_ones():
    made = cell(asr=(57, 60), ca=(60, 200))
    figures = made.figures.model_copy(update={"attack_success_on_all": Rate(k=58, n=200)})
    grid = make_grid([made.model_copy(update={"figures": figures})])
    (table,) = cases_tables(grid)
    assert table.groups[0].rows[0].cells[2] == Cell(
        "0.950", "57/60, 0.863-0.983", "of all rows 0.290 (58/200)"
    )
    # 0.29 of all rows is no reason to leave the case out: no more than 0.3 can be seen to be shifted.
    assert grid.cases[0].counted


def test_signs_of_markdown_and_html_in_names_are_escaped():
    table = Table("t", ("a|b",), (Group("", (Row((Cell("<b>*x*_y_"),)),)),))
    assert markdown_table(table) == "| a\\|b |\n| --- |\n| &lt;b&gt;\\*x\\*\\_y\\_ |"


def test_a_case_that_does_not_count_is_marked_in_the_markdown():
    grid = make_grid([cell(asr=(40, 100)), cell("p2p", asr=(5, 100))])
    page = markdown_page(grid, make_sections(grid))
    assert "attack not implanted (undefended ASR 0.400): excluded from claims" in page
    assert "No case counts" in page


def test_an_ablation_is_compared_over_its_own_seeds():
    trusted = {"selection": "trusted", "trusted_rows": "150"}
    cells = [cell("p2p", seed=seed, asr=(k, 100), variant=trusted) for seed, k in [(0, 10), (1, 50)]]
    changed = cell("p2p", seed=0, asr=(30, 100), variant=trusted | {"copies": "1"})
    (group,) = ablations_table(make_grid([*cells, changed])).groups
    assert [row.cells[1].detail[:6] for row in group.rows] == ["10/100", "30/100"]
    assert group.rows[1].cells[2].text == "+0.200"


def test_a_row_that_changes_something_and_has_nothing_to_compare_with_is_named_and_summed_up_apart():
    whole, changed = {"selection": "screened"}, {"selection": "screened", "forms": "no"}
    cells = [
        each
        for attack, variant in (("badnets:mn", whole), ("addsent", changed))
        for each in (cell(attack=attack), cell("p2p", asr=(5, 100), attack=attack, variant=variant))
    ]
    grid = make_grid(cells)
    names = {group.rows[0].cells[0].text for group in headline_table(grid).groups}
    assert names == {"screened rows", "screened rows, forms = no"}
    assert {(each.settings, len(each.pairs)) for each in summarise(grid)} == {(name, 1) for name in names}


@pytest.mark.parametrize(("shared", "at_most"), [(30.0, ""), (None, "≤ ")])
def test_selection_counts_poisoned_rows_and_its_share_of_the_training_time(
    shared: float | None, at_most: str
):
    chosen = SelectionFigures(
        method="screened", kept=400, kept_poisoned=4, poisoned=240, seconds=10, shared_seconds=shared
    )
    (group,) = selection_table(make_grid([cell("p2p", selection=chosen, cost=Cost(seconds=110))])).groups
    assert [each.text for each in group.rows[0].cells] == [
        "screened rows",
        "400",
        "240",
        "0.017",
        "0.010",
        f"{at_most}10.0",
        f"{at_most}10.0 %",
    ]


def test_gaps_name_what_a_case_lacks():
    assert gaps(make_grid([cell("p2p")])) == (
        "made-up, badnets:mn, 10 % of 2,400 rows: the undefended model was not measured.",
        "made-up, badnets:mn, 10 % of 2,400 rows: the P2P adapter was not measured without the guard.",
        "made-up, badnets:mn, 10 % of 2,400 rows: no never-poisoned model on the same data set and number of rows.",
    )


def test_other_defences_stand_beside_p2p_over_the_seeds_that_all_have():
    others = [
        cell(name, asr=(at, 100))
        for name, at in (("onion", 60), ("strip", 30), ("pruning", 80), ("quantisation", 90))
    ]
    ours = [cell("p2p", seed=0, asr=(10, 100)), cell("p2p", seed=1, asr=(90, 100))]
    (group,) = others_table(make_grid([cell(asr=(95, 100)), *ours, *others])).groups
    assert [row.cells[1].text for row in group.rows] == ["0.100", "0.300", "0.600", "0.800", "0.900", "0.950"]
    assert [row.kind for row in group.rows] == ["guarded", "", "", "", "", ""]


def test_where_few_others_were_measured_they_have_no_table_of_their_own():
    cells = [cell(asr=(95, 100)), cell("p2p", asr=(10, 100)), cell("onion", asr=(60, 100))]
    assert others_table(make_grid(cells)).groups == ()


def test_defences_that_share_no_seed_have_no_table():
    others = [cell(name, seed=1, asr=(60, 100)) for name in ("onion", "strip", "pruning", "quantisation")]
    assert others_table(make_grid([cell(asr=(95, 100)), cell("p2p", asr=(10, 100)), *others])).groups == ()


def test_what_a_never_poisoned_model_says_of_triggered_rows_stands_beside_the_attack():
    cells = [
        cell(asr=(95, 100)),
        cell("p2p", asr=(20, 100)),
        cell(rate=0.0, asr=(34, 100), attack="badnets:mn"),
    ]
    table = headline_table(make_grid(cells))
    (row,) = table.groups[0].rows
    assert row.cells[table.columns.index("ASR never poisoned")].text == "0.340"


def test_a_column_that_says_nothing_is_left_out():
    table = Table(
        "t", ("a", "b", "c"), (Group("", (Row((Cell("1"), EMPTY, Cell("x"))),)),), "", frozenset({0, 2})
    )
    shown = without_empty(table)
    assert (shown.columns, shown.text_columns) == (("a", "c"), frozenset({0, 1}))
    assert shown.groups[0].rows == (Row((Cell("1"), Cell("x"))),)
