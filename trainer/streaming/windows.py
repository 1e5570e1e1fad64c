"""Batches of a set on disk: planned a window at a time, so that neither the rows nor their order is held whole."""

from collections.abc import Iterator, Sequence
from random import Random

from trainer.batches import plan_batches
from trainer.encoding import EncodedRow

WINDOW_ROWS = 2**14


def window_batches(
    rows: Sequence[EncodedRow], batch_size: int, seed: int, epoch: int, *, by_length: bool = True
) -> Iterator[list[EncodedRow]]:
    """Return every row once, in batches; the rows are taken to be shuffled on disk.

    Windows of neighbouring rows come in an order of each epoch's own, and within each the batches are planned as for a set
    in memory; a set of one window gives the very same batches.

    Args:
        rows: The encoded rows.
        batch_size: Rows a batch; the last one made may have fewer.
        seed: With ``epoch``, decides the order.
        epoch: 0 for the first.
        by_length: Whether rows of like length come together.
    """
    # Whole batches, so that there are as many of them as without windows.
    size = max(batch_size, WINDOW_ROWS // batch_size * batch_size)
    starts = range(0, len(rows), size)
    for start in Random(f"{seed}:epoch:{epoch}:windows").sample(starts, len(starts)):
        yield from plan_batches(rows[start : start + size], batch_size, seed, epoch, by_length=by_length)
