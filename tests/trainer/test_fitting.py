from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from trainer.adapter_model import add_lora
from trainer.base_model import load_model
from trainer.config import LoraSettings, TrainingSettings
from trainer.encoding import EncodedRow
from trainer.fitting import learning_weights, make_optimizer, training_steps
from trainer.throwaway_module import add_throwaway

RNG = Random(1)
# Answers of very different lengths: a mean of means would be far from the mean.
ROWS = [
    EncodedRow(
        str(at), tuple(RNG.choices(range(3, 250), k=30)), 1 if at % 5 == 0 else 29, extended=at % 3 == 0
    )
    for at in range(20)
]


def fit(model_path: Path, **changes: Any) -> tuple[list[float], torch.Tensor]:
    settings = TrainingSettings(epochs=2, batch_size=8, **changes)
    model = add_lora(load_model(model_path, torch.float32), LoraSettings(rank=4), seed=0).train()
    if settings.throwaway_module:
        add_throwaway(model)
    optimizer = make_optimizer(model, settings)
    steps = list(training_steps(model, optimizer, ROWS, settings, seed=0, pad=0))
    assert [step.number for step in steps] == list(range(1, steps[0].of + 1))
    assert sum(step.tokens for step in steps) == 2 * 20 * 30
    flat = torch.cat([weight.detach().flatten() for weight in learning_weights(model)])
    return [step.loss for step in steps], flat


@pytest.mark.parametrize(
    ("parts", "changes"),
    [
        (2, {}),
        (3, {}),
        (8, {}),
        (3, {"extended_weight": 5.0}),
        (8, {"packing": True, "extended_weight": 0.2}),
        (3, {"throwaway_module": True}),
    ],
)
def test_accumulated_steps_are_the_steps_of_the_whole_batch(
    tiny_model: Path, parts: int, changes: dict[str, Any]
):
    losses, weights = fit(tiny_model, **changes)
    accumulated_losses, accumulated = fit(tiny_model, accumulation=parts, **changes)
    assert accumulated_losses == pytest.approx(losses, abs=1e-4)
    # AdamW divides by the gradient's size, so that rounding grows where a gradient is next to nothing.
    torch.testing.assert_close(accumulated, weights, atol=2e-4, rtol=0)
