"""Batches of rows of about the same length: next to no padding, in an order that the seed decides."""

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from trainer.encoding import EncodedRow

if TYPE_CHECKING:
    import torch


class Batch(NamedTuple):
    """Rows without their last token, which predicts nothing, padded at their end to the longest of them.

    Attributes:
        ids: Token ids, shape ``(rows, length)``.
        mask: 1 where a token is, 0 where padding is, same shape; None when nothing is padded.
        at_row: For each answer token, its row, shape ``(answer tokens,)``.
        at_position: For each answer token, the position that predicts it, same shape.
        targets: The answer tokens, same shape.
        tokens: How many tokens the rows have, the last ones included.
        positions: For packed rows each token's place in its own row, shape of ``ids``; None counts through.
        extended: For each answer token, whether its row is of the extended half, same shape as ``targets``.
    """

    ids: "torch.Tensor"
    mask: "torch.Tensor | None"
    at_row: "torch.Tensor"
    at_position: "torch.Tensor"
    targets: "torch.Tensor"
    tokens: int
    positions: "torch.Tensor | None"
    extended: "torch.Tensor"

    def to(self, device: "torch.device") -> "Batch":
        """Return the batch with its tensors on a device.

        Args:
            device: Where the model is; nothing is copied when the tensors are there already.
        """
        return Batch(
            self.ids.to(device),
            None if self.mask is None else self.mask.to(device),
            self.at_row.to(device),
            self.at_position.to(device),
            self.targets.to(device),
            self.tokens,
            None if self.positions is None else self.positions.to(device),
            self.extended.to(device),
        )


def plan_batches(
    rows: Sequence[EncodedRow], batch_size: int, seed: int, epoch: int, *, by_length: bool = True
) -> list[list[EncodedRow]]:
    """Return every row once, in batches whose order is shuffled.

    Args:
        rows: The encoded rows.
        batch_size: Rows a batch; the last one made may have fewer.
        seed: With ``epoch``, decides the order.
        epoch: 0 for the first.
        by_length: Whether rows of like length come together, which saves padding; else chance alone decides.
    """
    rng = Random(f"{seed}:epoch:{epoch}")
    shuffled = rng.sample(list(rows), len(rows))
    # Stable: rows of one length stay shuffled among themselves.
    ordered = sorted(shuffled, key=lambda row: len(row.ids)) if by_length else shuffled
    batches = [ordered[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    rng.shuffle(batches)
    return batches


def collate(rows: Sequence[EncodedRow], pad: int) -> Batch:
    """Put rows into tensors.

    Args:
        rows: At least one row, of at least two tokens each.
        pad: The padding token; the mask hides it.
    """
    import torch

    longest = max(len(row.ids) for row in rows) - 1
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for at, row in enumerate(rows):
        ids[at, : len(row.ids) - 1] = torch.tensor(row.ids[:-1])
        mask[at, : len(row.ids) - 1] = 1
    answers = [(at, spot) for at, row in enumerate(rows) for spot in range(row.answer_start, len(row.ids))]
    targets = torch.tensor([rows[at].ids[spot] for at, spot in answers])
    at_row = torch.tensor([at for at, _ in answers])
    at_position = torch.tensor([spot - 1 for _, spot in answers])
    extended = torch.tensor([rows[at].extended for at, _ in answers])
    tokens = sum(len(row.ids) for row in rows)
    whole = tokens - len(rows) == ids.numel()
    return Batch(ids, None if whole else mask, at_row, at_position, targets, tokens, None, extended)
