"""The loss where the halves do not weigh the same, or where disturbed copies are to be answered as their undisturbed rows are.

With l the cross-entropy of an answer token in nats, w its half's weight and c the weight of consistency, a step lowers
sum w (l + c k) / sum w over its answer tokens. k is KL(p || q) for the tokens of disturbed copies and 0 for all others: p is what the
model says at the same place of the undisturbed row, taken as it is (no gradient passes through it), q what it says of the copy. That is
the consistency term of Xie et al., "Unsupervised Data Augmentation for Consistency Training", arXiv 1904.12848. A row brings
its twin along, so that batches, parts and processes may part copies of one row as they like.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from trainer.adapter_model import base_of, logits_at
from trainer.batches import Batch, collate
from trainer.config import TrainingSettings
from trainer.encoding import EncodedRow
from trainer.processes import answer_tokens
from trainer.trunk import Trunk

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


class Weighing(NamedTuple):
    """How much each row counts; see the module's formula.

    Attributes:
        extended: w of the extended half; that of the original half is 1.
        consistency: c.
    """

    extended: float = 1.0
    consistency: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether every answer token weighs the same and nothing is added."""
        return self == Weighing()

    def of_row(self, row: EncodedRow) -> float:
        """Return the sum of a row's weights."""
        return answer_tokens(row) * (self.extended if row.extended else 1.0)


def weighing_of(settings: TrainingSettings) -> Weighing:
    """Return the weights that the settings ask for."""
    return Weighing(settings.extended_weight, settings.consistency)


def weighted_loss(
    model: "PeftModel",
    rows: Sequence[EncodedRow],
    batch: Batch,
    weighing: Weighing,
    trunk: Trunk | None = None,
) -> "torch.Tensor":
    """Return the weighted mean over a batch's answer tokens, in nats.

    Args:
        model: Base and adapter.
        rows: The rows of the batch.
        batch: Made of these rows by :func:`trainer.batches.collate`; for a packed one there must be no consistency term and no trunk.
        weighing: The weights.
        trunk: The frozen layers' states; None runs the whole model.

    Returns:
        A float32 scalar.
    """
    import torch

    logits = _logits(model, rows, batch, trunk)
    extended = batch.extended.to(logits.device)
    losses = torch.nn.functional.cross_entropy(logits, batch.targets.to(logits.device), reduction="none")
    if weighing.consistency and any(row.twin for row in rows):
        apart = torch.tensor([rows[at].twin is not None for at in batch.at_row.tolist()]).to(logits.device)
        divergence = torch.zeros_like(losses).masked_scatter(
            apart, _divergence(model, rows, logits[apart], trunk)
        )
        losses = losses + weighing.consistency * divergence
    weights = torch.ones_like(losses).masked_fill(extended, weighing.extended)
    return (weights * losses).sum() / weights.sum()


def _divergence(
    model: "PeftModel", rows: Sequence[EncodedRow], said: "torch.Tensor", trunk: Trunk | None
) -> "torch.Tensor":
    """Return KL(p || q) for each answer token of a row that has a twin, in the order of the rows."""
    import torch

    twins = [row.twin for row in rows if row.twin]
    with torch.no_grad():
        wanted = _logits(model, twins, collate(twins, pad=0), trunk).log_softmax(-1)
    apart = torch.nn.functional.kl_div(said.log_softmax(-1), wanted, reduction="none", log_target=True)
    return apart.sum(-1)


def _logits(
    model: "PeftModel", rows: Sequence[EncodedRow], batch: Batch, trunk: Trunk | None
) -> "torch.Tensor":
    states = trunk.states(rows) if trunk else None
    return logits_at(base_of(model), batch, states, trunk.below if trunk else 0).float()
