from random import Random

import pytest

from trainer.batches import plan_batches
from trainer.encoding import EncodedRow
from trainer.streaming import windows
from trainer.streaming.windows import window_batches

ROWS = [EncodedRow(str(at), tuple(range(2 + Random(at).randrange(50))), 1) for at in range(100)]


def test_a_set_of_one_window_gives_the_batches_of_a_set_in_memory():
    assert list(window_batches(ROWS, 8, seed=1, epoch=2)) == plan_batches(ROWS, 8, seed=1, epoch=2)


def test_every_row_is_in_one_batch_and_batches_are_as_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(windows, "WINDOW_ROWS", 30)
    batches = list(window_batches(ROWS, 8, seed=1, epoch=0))
    assert sorted(row for batch in batches for row in batch) == sorted(ROWS)
    assert len(batches) == 13
    # 24 rows are the whole batches that fit into a window of 30.
    assert all(len({int(row.id) // 24 for row in batch}) == 1 for batch in batches)


def test_windows_come_in_another_order_in_another_epoch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(windows, "WINDOW_ROWS", 10)
    orders = [[int(batch[0].id) // 10 for batch in window_batches(ROWS, 10, 1, epoch)] for epoch in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(10))
    assert orders[0] != orders[1]
