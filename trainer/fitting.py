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
from trainer.trunk import Trunk

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


class Step(NamedTuple):
    """One step that was taken.

    Attributes:
        number: How many steps are done, this one included.
        of: How many there are in all.
        tokens: Tokens of this step's rows.
        loss: Mean cross-entropy over its answer tokens, in nats.
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
) -> Iterator[Step]:
    """Train, a step at a time; each is yielded once it is done, and nothing happens until the next is asked for.

    Args:
        model: Base and adapter, in training mode.
        optimizer: Over the adapter's weights.
        rows: What the model is to learn.
        settings: Epochs, batch size, rates.
        seed: Decides the order of the rows.
        pad: The padding token.
        trunk: The frozen layers' states; None runs the whole model.
        done: How many steps an earlier run has taken already.
    """
    import torch

    weights = learning_weights(model)
    batches = [
        batch
        for epoch in range(settings.epochs)
        for batch in plan_batches(rows, settings.batch_size, seed, epoch)
    ]
    for number, chosen in islice(enumerate(batches), done, None):
        started = time.monotonic()
        batch = collate(chosen, pad)
        _set_rate(optimizer, settings.learning_rate * schedule(number, len(batches), settings.warmup))
        states = trunk.states(chosen) if trunk else None
        loss = answer_loss(model, batch, states, trunk.below if trunk else 0)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds = time.monotonic() - started
        yield Step(number + 1, len(batches), batch.tokens, float(loss.detach()), seconds)


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
