from p2p.metrics.rate import Rate
from tests.trainer.reporting.synthetic import cell
from trainer.reporting.pooling import pool


def test_seeds_are_added_up():
    cells = [cell(seed=1, asr=(99, 100), ca=(170, 200)), cell(seed=0, asr=(90, 100), ca=(181, 200))]
    (row,) = pool(cells).rows
    assert row.seeds == (0, 1)
    assert row.attack_success_rate == Rate(k=189, n=200)
    assert row.clean_accuracy == Rate(k=351, n=400)
    assert row.by_seed(lambda figures: figures.attack_success_rate) == {
        0: Rate(k=90, n=100),
        1: Rate(k=99, n=100),
    }


def test_a_figure_that_one_seed_lacks_is_added_up_over_the_others():
    (row,) = pool([cell(seed=0, asr=None), cell(seed=1, asr=(9, 10))]).rows
    assert row.attack_success_rate == Rate(k=9, n=10)


def test_a_figure_that_no_seed_has_stays_unknown():
    (row,) = pool([cell(asr=None, floor=None)]).rows
    assert row.attack_success_rate is None
    assert row.extension_rate is None
    assert row.quality is None


def test_variants_rates_and_attacks_are_kept_apart():
    cells = [cell(), cell(variant={"a": "1"}), cell(rate=0.05), cell(attack="addsent"), cell("p2p")]
    assert len(pool(cells).rows) == 5


def test_the_order_of_a_variants_keys_does_not_matter():
    cells = [cell(variant={"a": "1", "b": "2"}), cell(seed=1, variant={"b": "2", "a": "1"})]
    assert len(pool(cells).rows) == 1


def test_of_two_equal_cells_the_later_one_counts_alone():
    later = cell(asr=(1, 100), key="b", finished="2000-01-02T00:00:00Z")
    earlier = cell(asr=(99, 100), key="a", finished="2000-01-01T00:00:00Z")
    for cells in ([later, earlier], [earlier, later]):
        pooling = pool(cells)
        assert pooling.rows[0].cells == (later,)
        assert pooling.superseded == (earlier,)


def test_only_leaves_other_seeds_out_unless_none_would_be_left():
    (row,) = pool([cell(seed=0), cell(seed=1)]).rows
    assert row.only([1, 7]).seeds == (1,)
    assert row.only([7]).seeds == (0, 1)


def test_rows_are_compared_over_the_same_seeds_or_not_at_all():
    before, after, another = pool(
        [cell(seed=0), cell(seed=1), cell("p2p", seed=1), cell("onion", seed=2)]
    ).rows
    assert (same := before.same_seeds(after)) is not None
    assert same.seeds == (1,)
    assert before.same_seeds(another) is None
