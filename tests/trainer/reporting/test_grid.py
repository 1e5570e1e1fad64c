import pytest

from p2p.metrics.rate import Rate
from tests.trainer.reporting.synthetic import cell
from trainer.bench.results import Figures
from trainer.reporting.grid import Standing, baseline, make_grid
from trainer.reporting.summary import summarise
from trainer.reporting.tables.headline import headline_table

TRUSTED = {"selection": "trusted", "trusted_rows": "150"}


@pytest.mark.parametrize(
    ("k", "standing"), [(90, Standing.COUNTED), (89, Standing.NOT_IMPLANTED)], ids=["at 0.90", "below"]
)
def test_a_case_counts_from_an_undefended_asr_of_0_90_on(k, standing):
    (case,) = make_grid([cell(asr=(k, 100)), cell("p2p", asr=(5, 100))]).cases
    assert case.standing is standing


def test_the_pooled_asr_of_all_seeds_decides():
    grid = make_grid([cell(seed=0, asr=(85, 100)), cell(seed=1, asr=(97, 100))])
    assert [case.key.rate for case in grid.counted] == [0.1]


def test_a_case_without_the_undefended_model_does_not_count():
    (case,) = make_grid([cell("p2p", asr=(5, 100))]).cases
    assert case.standing is Standing.NO_UNDEFENDED


def test_a_case_that_does_not_count_is_in_no_summary():
    counted = [cell(asr=(95, 100)), cell("p2p", asr=(5, 100))]
    other = [cell(asr=(40, 100), rate=0.02), cell("p2p", asr=(3, 100), rate=0.02)]
    (summary,) = summarise(make_grid([*counted, *other]))
    assert (summary.asr_before.k, summary.asr_before.n) == (95, 100)
    assert (summary.asr_after.k, summary.asr_after.n) == (5, 100)
    assert summary.worst.case.key.rate == 0.1


def test_a_summary_compares_the_seeds_that_both_have():
    cells = [cell(seed=0, asr=(90, 100)), cell(seed=1, asr=(100, 100)), cell("p2p", seed=1, asr=(5, 100))]
    (summary,) = summarise(make_grid(cells))
    assert (summary.asr_before.k, summary.asr_before.n) == (100, 100)


def test_the_never_poisoned_model_is_found_by_data_set_and_rows():
    cells = [cell(), cell(attack="none", rate=0.0, asr=None), cell(dataset="other")]
    by_name = {case.key.dataset: case for case in make_grid(cells).attacked}
    assert by_name["made-up"].never_poisoned.case.attack == "none"
    assert by_name["other"].never_poisoned is None


def test_the_never_poisoned_model_that_was_asked_with_the_attack_stands_beside_every_rate_of_it():
    asked = [cell(attack="word", rate=0.0, asr=(9, 100)), cell(attack="sentence", rate=0.0, asr=(20, 100))]
    grid = make_grid([cell(attack="word 10 %", rate=0.1), cell(attack="word 5 %", rate=0.05), *asked])
    assert [case.never_poisoned.attack_success_rate.k for case in grid.attacked] == [9, 9]
    assert len(grid.cases) == 4


def test_an_ablation_stands_beside_the_row_that_it_changes():
    cells = [cell("p2p", variant=TRUSTED), cell("p2p", variant=TRUSTED | {"copies": "1"})]
    (case,) = make_grid(cells).cases
    (changed,) = case.ablations
    assert baseline(case, changed) == case.rows[0]
    assert len(case.rows) == 1


def test_a_changed_row_without_its_unchanged_one_is_shown_as_a_row():
    (case,) = make_grid([cell("p2p", variant=TRUSTED | {"copies": "1"})]).cases
    assert not case.ablations
    assert len(case.rows) == 1


def test_the_number_of_trusted_rows_that_most_cases_share_stands_for_the_method():
    cells = [cell("p2p", rate=rate, variant=TRUSTED) for rate in (0.05, 0.1)]
    cells.append(cell("p2p", rate=0.1, variant=TRUSTED | {"trusted_rows": "50"}))
    grid = make_grid(cells)
    assert [dict(row.variant)["trusted_rows"] for row in grid.headline(grid.cases[1])] == ["150"]


def test_a_guarded_row_of_other_seeds_is_compared_with_nothing():
    grid = make_grid([cell(seed=0), cell("p2p", seed=1, asr=(5, 100))])
    assert not summarise(grid)
    (row,) = headline_table(grid).groups[0].rows
    assert "95/100" not in str(row)


def test_an_ablation_stands_for_no_way_of_choosing_rows_that_has_another():
    changed = {"selection": "screened", "rho": "0.1"}
    cells = [cell(), cell("p2p", variant=changed), cell("p2p", variant={"selection": "trusted"})]
    grid = make_grid([*cells, cell("p2p", variant={"selection": "screened", "trusted_rows": "9"})])
    (case,) = grid.cases
    assert [dict(row.variant) for row in grid.headline(case)] == [
        {"selection": "trusted"},
        {"selection": "screened", "trusted_rows": "9"},
    ]


def test_accuracy_and_free_text_are_not_added_up():
    free = Figures(
        clean_accuracy=Rate(k=100, n=100),
        attack_success_rate=Rate(k=95, n=100),
        floor=Rate(k=0, n=100),
        quality=0.25,
    )
    texts = [cell(dataset="texts", figures=free), cell("p2p", dataset="texts", figures=free)]
    (both,) = summarise(make_grid([cell(), cell("p2p"), *texts]))
    (alone,) = summarise(make_grid(texts))
    assert (len(both.pairs), both.ca_after, both.quality) == (2, Rate(k=180, n=200), (0.25, 0.25))
    assert (alone.ca_after, alone.of_accuracy) == (Rate(k=100, n=100), ())
