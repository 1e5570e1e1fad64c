"""Packing: rows one after the other in one sequence, each with its own positions, blind to the others; no padding between them."""

from collections.abc import Sequence

from trainer.batches import Batch
from trainer.encoding import EncodedRow


def pack(rows: Sequence[EncodedRow], pad: int, capacity: int) -> Batch:
    """Put rows into as few sequences as first-fit decreasing finds (at most 11/9 of the fewest, and 6/9 of one).

    Positions begin again at 0 with each row. transformers takes that, where there is no mask, for a block-diagonal attention mask.

    Args:
        rows: At least one row, of at least two tokens each.
        pad: The padding token. What is left over at a sequence's end is a row of its own, which no answer token is in.
        capacity: Tokens a sequence; a longer row gets a sequence of its own.

    Returns:
        The answer tokens are those of :func:`trainer.batches.collate`, in the order of the sequences.
    """
    import torch

    bins = _first_fit_decreasing(rows, capacity)
    longest = max(sum(map(_length, held)) for held in bins)
    ids = torch.full((len(bins), longest), pad)
    positions = torch.empty((len(bins), longest), dtype=torch.long)
    at_row: list[int] = []
    at_position: list[int] = []
    targets: list[int] = []
    extended: list[bool] = []
    for number, held in enumerate(bins):
        start = 0
        for row in held:
            end = start + _length(row)
            ids[number, start:end] = torch.tensor(row.ids[:-1])
            positions[number, start:end] = torch.arange(end - start)
            spots = range(row.answer_start, len(row.ids))
            at_row += [number] * len(spots)
            at_position += [start + spot - 1 for spot in spots]
            targets += row.ids[row.answer_start :]
            extended += [row.extended] * len(spots)
            start = end
        positions[number, start:] = torch.arange(longest - start)
    return Batch(
        ids,
        None,
        torch.tensor(at_row),
        torch.tensor(at_position),
        torch.tensor(targets),
        sum(len(row.ids) for row in rows),
        positions,
        torch.tensor(extended),
    )


def _first_fit_decreasing(rows: Sequence[EncodedRow], capacity: int) -> list[list[EncodedRow]]:
    bins: list[list[EncodedRow]] = []
    room: list[int] = []
    for row in sorted(rows, key=_length, reverse=True):
        at = next((number for number, left in enumerate(room) if _length(row) <= left), None)
        if at is None:
            bins.append([row])
            room.append(capacity - _length(row))
        else:
            bins[at].append(row)
            room[at] -= _length(row)
    return bins


def _length(row: EncodedRow) -> int:
    """Return how many tokens of a row go in: the last one predicts nothing."""
    return len(row.ids) - 1
