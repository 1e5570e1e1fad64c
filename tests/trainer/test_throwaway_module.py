"""Two modules on one base: what each half passes through, what it teaches, and what is left."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from peft import get_peft_model_state_dict

from trainer.adapter_model import add_lora, base_of, logits_at
from trainer.base_model import load_model
from trainer.batches import collate
from trainer.config import LoraSettings, TrainingSettings
from trainer.encoding import EncodedRow
from trainer.fitting import make_optimizer, training_steps
from trainer.throwaway_module import SHIPPED, THROWAWAY, add_throwaway, pass_through, throw_away

RNG = Random(3)
ORIGINAL = [EncodedRow(f"o{at}", tuple(RNG.choices(range(3, 250), k=9)), 7) for at in range(8)]
EXTENDED = [EncodedRow(f"e{at}", tuple(RNG.choices(range(3, 250), k=9)), 7, extended=True) for at in range(8)]
Weights = dict[str, torch.Tensor]


def adapted(model: Path) -> Any:
    return add_lora(load_model(model, torch.float32), LoraSettings(rank=2), seed=0).train()


def fit(model: Path, rows: list[EncodedRow], *, two: bool) -> Any:
    settings = TrainingSettings(epochs=2, batch_size=4, learning_rate=0.01, throwaway_module=two)
    found = adapted(model)
    if two:
        add_throwaway(found)
    list(training_steps(found, make_optimizer(found, settings), rows, settings, seed=0, pad=0))
    return found


def weights(model: Any, name: str = SHIPPED) -> Weights:
    return {
        key: weight.detach().clone()
        for key, weight in get_peft_model_state_dict(model, adapter_name=name).items()
    }


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return logits_at(base_of(model), collate(ORIGINAL, pad=0))


def test_extended_rows_pass_through_the_shipped_module_alone_and_others_through_both(tiny_model: Path):
    model = fit(tiny_model, ORIGINAL, two=False)
    alone = logits(model)
    add_throwaway(model)
    torch.testing.assert_close(logits(model), alone)
    for name, weight in model.named_parameters():
        if THROWAWAY in name:
            torch.nn.init.normal_(weight, std=0.1)
    assert (logits(model) - alone).abs().max() > 1e-3
    pass_through(model, extended=True)
    torch.testing.assert_close(logits(model), alone)


def test_extended_rows_teach_the_shipped_module_as_if_there_were_no_other(tiny_model: Path):
    two = fit(tiny_model, EXTENDED, two=True)
    torch.testing.assert_close(weights(two), weights(fit(tiny_model, EXTENDED, two=False)))
    assert not any(weight.any() for name, weight in weights(two, THROWAWAY).items() if "lora_B" in name)


def test_both_modules_learn_the_original_half(tiny_model: Path):
    model = fit(tiny_model, [*ORIGINAL, *EXTENDED], two=True)
    for name in (SHIPPED, THROWAWAY):
        assert all(weight.any() for key, weight in weights(model, name).items() if "lora_B" in key)


def test_what_is_thrown_away_is_gone_and_the_rest_stays(tiny_model: Path, tmp_path: Path):
    model = fit(tiny_model, [*ORIGINAL, *EXTENDED], two=True)
    shipped = weights(model)
    pass_through(model, extended=True)
    alone = logits(model)
    throw_away(model)
    torch.testing.assert_close(logits(model), alone)
    torch.testing.assert_close(weights(model), shipped)
    assert list(model.peft_config) == [SHIPPED]
    assert not any(THROWAWAY in name for name, _ in model.named_parameters())
    model.save_pretrained(tmp_path / "saved")
    assert not [path for path in (tmp_path / "saved").iterdir() if path.is_dir()]


@pytest.mark.parametrize("weight", [0.25, 4.0])
def test_a_step_s_loss_is_the_weighted_mean_over_both_halves(tiny_model: Path, weight: float):
    rows = [*ORIGINAL[:3], *EXTENDED[:2]]
    settings = TrainingSettings(epochs=1, batch_size=5, throwaway_module=True, extended_weight=weight)
    model = adapted(tiny_model)
    each = torch.nn.functional.cross_entropy(
        logits_at(base_of(model), collate(rows, pad=0)).detach(),
        torch.tensor([token for row in rows for token in row.ids[7:]]),
        reduction="none",
    )
    add_throwaway(model)
    (step,) = training_steps(model, make_optimizer(model, settings), rows, settings, seed=0, pad=0)
    wanted = (each[:6].sum() + weight * each[6:].sum()) / (6 + weight * 4)
    assert step.loss == pytest.approx(float(wanted), abs=1e-5)
