"""The frozen layers below the adapter, computed once a row: what neither learns nor changes need not be computed twice.

LoRA on the last k layers of N leaves the lower N - k as they are, so that the hidden states that enter the first adapted layer are
the same in every epoch, and for every adapter on the same base model. ``Trunk`` keeps them; ``upper_only`` runs the rest.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainer.batches import Batch, collate
from trainer.encoding import EncodedRow

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_ROWS_AT_ONCE = 32


class Trunk:
    """Hidden states at the first adapted layer, by the token ids that lead to them.

    Args:
        model: The base model, with adapters on its upper layers or without.
        below: How many layers are frozen, at least 1.
        room_gib: How much memory the states may take, in GiB; what does not fit is computed each time it is asked for.
    """

    def __init__(self, model: "PreTrainedModel", below: int, room_gib: float = 4.0) -> None:
        self.below = below
        self._model = model
        self._room = int(room_gib * 2**30)
        self._held = 0
        self._kept: dict[tuple[int, ...], torch.Tensor] = {}

    def states(self, rows: Sequence[EncodedRow]) -> "torch.Tensor":
        """Return the hidden states of a batch's rows, without their last tokens and padded at their end with zeros.

        Args:
            rows: The rows that :func:`trainer.batches.collate` was given, in the same order.

        Returns:
            Shape ``(rows, longest - 1, hidden)``, in the model's type and on its device.
        """
        import torch

        found = self._kept | self._compute([row for row in rows if row.ids[:-1] not in self._kept])
        each = [found[row.ids[:-1]] for row in rows]
        return torch.nn.utils.rnn.pad_sequence(each, batch_first=True).to(self._model.device)

    def fill(self, rows: Sequence[EncodedRow]) -> Iterator[int]:
        """Compute the states of rows ahead, those of like length together.

        Args:
            rows: All that will be asked for; what is there already is passed over.

        Yields:
            How many tokens were computed since the last time. It ends early when the room is full.
        """
        missing = {row.ids[:-1]: row for row in rows if row.ids[:-1] not in self._kept}
        ordered = sorted(missing.values(), key=lambda row: len(row.ids))
        for start in range(0, len(ordered), _ROWS_AT_ONCE):
            if self._held >= self._room:
                return
            group = ordered[start : start + _ROWS_AT_ONCE]
            self._compute(group)
            yield sum(len(row.ids) for row in group)

    def _compute(self, rows: Sequence[EncodedRow]) -> dict[tuple[int, ...], "torch.Tensor"]:
        """Return the states of rows, and keep those for which there is room."""
        import torch

        if not rows:
            return {}
        batch = collate(rows, pad=0).to(self._model.device)
        with torch.no_grad(), _layers(self._model, slice(0, self.below), final_norm=False):
            hidden = run_body(self._model, batch, None).cpu()
        fresh = {
            row.ids[:-1]: states[: len(row.ids) - 1].clone() for row, states in zip(rows, hidden, strict=True)
        }
        for ids, states in fresh.items():
            if self._held < self._room:
                self._kept[ids] = states
                self._held += states.numel() * states.element_size()
        return fresh


def make_trunk(
    model: "PreTrainedModel", below: int, sample: EncodedRow, room_gib: float = 4.0
) -> Trunk | None:
    """Return a trunk for a model, or None where there is nothing to keep or the model can't be run in two parts.

    Some families scale what goes into their first layer or carry state across layers: the two parts are compared with the whole on one row,
    and a model that gives another answer is run whole.

    Args:
        model: The base model, with adapters on its layers from ``below`` on alone.
        below: How many layers are frozen.
        sample: Any row.
        room_gib: How much memory the states may take, in GiB.
    """
    import torch

    body = getattr(model, model.base_model_prefix, None)
    if below < 1 or not (hasattr(body, "layers") and hasattr(body, "norm")):
        return None
    trunk = Trunk(model, below, room_gib)
    batch = collate([sample], pad=0).to(model.device)
    was_training = model.training
    model.train(mode=False)
    with torch.no_grad():
        whole, states = run_body(model, batch, None), trunk.states([sample])
        with upper_only(model, below):
            parts = run_body(model, batch, states)
    model.train(was_training)
    close = torch.allclose(whole.float(), parts.float(), rtol=1e-2, atol=1e-2 * float(whole.float().std()))
    return trunk if close else None


@contextmanager
def upper_only(model: "PreTrainedModel", below: int) -> Iterator[None]:
    """Within the block the model's body runs its layers from ``below`` on, and takes hidden states as ``inputs_embeds``."""
    if below == 0:
        yield
        return
    with _layers(model, slice(below, None), final_norm=True):
        yield


def run_body(model: "PreTrainedModel", batch: Batch, states: "torch.Tensor | None") -> "torch.Tensor":
    """Return the last hidden states of a batch, shape ``(rows, length, hidden)``.

    Args:
        model: Its body is run as it stands.
        batch: Token ids and mask, on the model's device.
        states: What goes in instead of the embedded tokens; None embeds ``batch.ids``.
    """
    body = getattr(model, model.base_model_prefix)
    given: dict[str, Any] = {"input_ids": batch.ids} if states is None else {"inputs_embeds": states}
    if batch.positions is not None:
        given["position_ids"] = batch.positions
    hidden: torch.Tensor = body(attention_mask=batch.mask, use_cache=False, **given).last_hidden_state
    return hidden


@contextmanager
def _layers(model: "PreTrainedModel", chosen: slice, *, final_norm: bool) -> Iterator[None]:
    import torch

    body = getattr(model, model.base_model_prefix)
    layers, norm = body.layers, body.norm
    body.layers = torch.nn.ModuleList(list(layers)[chosen])
    if not final_norm:
        body.norm = torch.nn.Identity()
    try:
        yield
    finally:
        body.layers, body.norm = layers, norm
