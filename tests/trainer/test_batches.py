from itertools import pairwise
from random import Random

from trainer.batches import collate, plan_batches
from trainer.encoding import EncodedRow

ROWS = [EncodedRow(str(at), tuple(range(1 + Random(at).randrange(50))), 0) for at in range(100)]


def ids(batches: list[list[EncodedRow]]) -> list[list[str]]:
    return [[row.id for row in batch] for batch in batches]


def test_every_row_is_in_one_batch():
    batches = plan_batches(ROWS, 8, seed=1, epoch=0)
    assert sorted(row for batch in batches for row in batch) == sorted(ROWS)
    assert sorted(map(len, batches)) == [4, *(12 * [8])]


def test_batches_do_not_overlap_in_length():
    batches = plan_batches(ROWS, 8, seed=1, epoch=0)
    spans = sorted((len(batch[0].ids), len(batch[-1].ids)) for batch in batches)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_batches_do_not_come_in_order_of_length():
    firsts = [len(batch[0].ids) for batch in plan_batches(ROWS, 8, seed=1, epoch=0)]
    assert firsts != sorted(firsts)


def test_seed_and_epoch_decide_the_order():
    plan = ids(plan_batches(ROWS, 8, seed=1, epoch=0))
    assert plan == ids(plan_batches(ROWS, 8, seed=1, epoch=0))
    assert plan != ids(plan_batches(ROWS, 8, seed=1, epoch=1))
    assert plan != ids(plan_batches(ROWS, 8, seed=2, epoch=0))


def test_rows_of_one_length_meet_others_in_another_epoch():
    alike = [EncodedRow(str(at), (1, 2), 1) for at in range(32)]
    first, second = ({frozenset(batch) for batch in ids(plan_batches(alike, 8, 0, at))} for at in (0, 1))
    assert first != second


def test_rows_lose_their_last_token_and_shorter_ones_are_padded_and_masked():
    batch = collate([EncodedRow("a", (5, 6, 7, 9), 3), EncodedRow("b", (8, 9), 1)], pad=0)
    assert batch.ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch.mask is not None
    assert batch.mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.tokens == 6


def test_rows_of_one_length_need_no_mask():
    batch = collate([EncodedRow("a", (5, 6), 1), EncodedRow("b", (0, 7), 1)], pad=0)
    assert batch.mask is None
    assert batch.tokens == 4


def test_each_answer_token_is_predicted_at_the_place_before_it():
    batch = collate([EncodedRow("a", (5, 6, 7, 8), 2), EncodedRow("b", (9, 4), 1)], pad=0)
    assert batch.targets.tolist() == [7, 8, 4]
    assert batch.at_row.tolist() == [0, 0, 1]
    assert batch.at_position.tolist() == [1, 2, 0]
