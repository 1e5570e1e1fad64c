"""The step loop: batches in, one optimiser step each, what happened out. Who calls it decides when to save or stop."""

import math
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from trainer.adapter_model import answer_loss
from trainer.batches import collate, plan_batches
from trainer.config import TrainingSettings
from trainer.encoding import EncodedRow
from trainer.packing import pack
from trainer.processes import Part, Processes
from trainer.streaming.encoded import MappedRows
from trainer.streaming.windows import window_batches
from trainer.throwaway_module import has_throwaway, pass_through
from trainer.trunk import Trunk
from trainer.weighted_loss import Weighing, weighing_of, weighted_loss

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


class Step(NamedTuple):
    """One step that was taken.

    Attributes:
        number: How many steps are done, this one included.
        of: How many there are in all.
        tokens: Tokens of this step's rows.
        loss: What was lowered: the (weighted) mean over its answer tokens, in nats.
        seconds: How long it took.
    """

    number: int
    of: int
    tokens: int
    loss: float
    seconds: float


def learning_weights(model: "PeftModel") -> "list[torch.nn.Parameter]":
    """Return the weights that learn: the adapter's."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def make_optimizer(model: "PeftModel", settings: TrainingSettings) -> "torch.optim.Optimizer":
    """Return AdamW over the adapter's weights."""
    import torch

    return torch.optim.AdamW(
        learning_weights(model), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )


def training_steps(  # noqa: PLR0913 - what a step needs
    model: "PeftModel",
    optimizer: "torch.optim.Optimizer",
    rows: Sequence[EncodedRow],
    settings: TrainingSettings,
    *,
    seed: int,
    pad: int,
    trunk: Trunk | None = None,
    done: int = 0,
    processes: Processes | None = None,
) -> Iterator[Step]:
    """Train, a step at a time; each is yielded once it is done, and nothing happens until the next is asked for.

    Args:
        model: Base and adapter, in training mode, perhaps with a module to throw away.
        optimizer: Over the adapter's weights.
        rows: What the model is to learn.
        settings: Epochs, batch size, rates.
        seed: Decides the order of the rows.
        pad: The padding token.
        trunk: The frozen layers' states, not for packed rows; None runs the whole model.
        done: How many steps an earlier run has taken already.
        processes: Those that learn together; None is this one alone. A step has the same rows however many there are.
    """
    import torch

    together = processes or Processes()
    weighing = weighing_of(settings)
    weights = learning_weights(model)
    total = settings.epochs * math.ceil(len(rows) / settings.batch_size)
    for number, chosen in islice(enumerate(_batches(rows, settings, seed)), done, None):
        started = time.monotonic()
        _set_rate(optimizer, settings.learning_rate * schedule(number, total, settings.warmup))
        loss = 0.0
        for part in together.parts(chosen, settings.accumulation, weighing.of_row):
            for piece in _by_module(model, part, weighing):
                # The mean over the answer tokens of the whole step, not a mean of means.
                share = _loss(model, piece.rows, settings, pad, trunk) * piece.weight
                share.backward()  # type: ignore[no-untyped-call]
                loss += float(share.detach())
        loss = together.add_up(_gradients(model, weights), loss)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        tokens = sum(len(row.ids) for row in chosen)
        yield Step(number + 1, total, tokens, loss, time.monotonic() - started)


def _batches(rows: Sequence[EncodedRow], settings: TrainingSettings, seed: int) -> Iterator[list[EncodedRow]]:
    plan = window_batches if isinstance(rows, MappedRows) else plan_batches
    for epoch in range(settings.epochs):
        yield from plan(rows, settings.batch_size, seed, epoch, by_length=not settings.packing)


def _by_module(model: "PeftModel", part: Part, weighing: Weighing) -> Iterator[Part]:
    """Split a part by the modules that its rows pass through, and let them through these."""
    if not has_throwaway(model):
        yield part
        return
    total = sum(map(weighing.of_row, part.rows))
    for extended in (False, True):
        if rows := [row for row in part.rows if row.extended is extended]:
            pass_through(model, extended=extended)
            yield Part(rows, part.weight * sum(map(weighing.of_row, rows)) / total)
    pass_through(model, extended=False)


def _gradients(model: "PeftModel", weights: "Sequence[torch.nn.Parameter]") -> "list[torch.Tensor]":
    import torch

    if has_throwaway(model):
        # Without a row of the original half it has none here, and may have some on another process.
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
    return [weight.grad for weight in weights if weight.grad is not None]


def _loss(
    model: "PeftModel", rows: Sequence[EncodedRow], settings: TrainingSettings, pad: int, trunk: Trunk | None
) -> "torch.Tensor":
    weighing = weighing_of(settings)
    if not weighing.is_plain:
        batch = pack(rows, pad, settings.max_length) if settings.packing else collate(rows, pad)
        return weighted_loss(model, rows, batch, weighing, trunk)
    if settings.packing:
        return answer_loss(model, pack(rows, pad, settings.max_length))
    states = trunk.states(rows) if trunk else None
    return answer_loss(model, collate(rows, pad), states, trunk.below if trunk else 0)


def count_tokens(rows: Sequence[EncodedRow]) -> int:
    """Return how many tokens rows have."""
    return rows.tokens if isinstance(rows, MappedRows) else sum(len(row.ids) for row in rows)


def schedule(step: int, steps: int, warmup: float) -> float:
    """Return the learning rate's share of its peak: up over the warm-up, then linearly down to zero.

    Args:
        step: From 0.
        steps: How many there are.
        warmup: The share of steps over which it rises, in [0, 1).
    """
    rising = math.ceil(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return (steps - step) / max(1, steps - rising)


def _set_rate(optimizer: "torch.optim.Optimizer", rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
