from tests.trainer.reporting.synthetic import cell
from trainer.reporting.grid import make_grid
from trainer.reporting.rivals import ahead, takeaway


def test_a_defence_with_less_asr_and_more_ca_is_told():
    grid = make_grid([cell(), cell("p2p", asr=(9, 100)), cell("onion", asr=(8, 100), ca=(181, 200))])
    assert [each.rival.defence for each in ahead(grid)] == ["onion"]
    assert (
        takeaway(grid) == "Another defence has no more ASR and no less CA than P2P: in 1 of 1 cases (ONION)."
    )


def test_a_defence_with_less_ca_is_not_ahead():
    grid = make_grid([cell(), cell("p2p", asr=(9, 100)), cell("onion", asr=(8, 100), ca=(179, 200))])
    assert not ahead(grid)


def test_a_case_that_does_not_count_proves_nothing():
    grid = make_grid([cell(asr=(50, 100)), cell("p2p", asr=(9, 100)), cell("onion", asr=(0, 100))])
    assert not ahead(grid)
    assert takeaway(grid) == "No case that counts has both P2P and another defence."


def test_the_same_seeds_are_compared():
    cells = [cell(seed=seed) for seed in (0, 1)]
    cells += [cell("p2p", seed=0, asr=(9, 100)), cell("p2p", seed=1, asr=(0, 100))]
    grid = make_grid([*cells, cell("onion", seed=0, asr=(8, 100))])
    assert len(ahead(grid)) == 1


def test_each_way_of_choosing_rows_is_compared_by_itself():
    ways = [
        cell("p2p", asr=(k, 100), variant={"selection": way}) for way, k in (("screened", 5), ("random", 90))
    ]
    said = takeaway(make_grid([cell(), *ways, cell("onion", asr=(60, 100)), cell("strip", asr=(50, 100))]))
    assert (
        "than P2P, screened rows: in none of 1 cases; than P2P, random rows: in 1 of 1 cases (ONION, STRIP)."
        in said
    )
