"""The frozen layers' states: the same answers as the whole model, computed once."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.conftest import make_tiny
from trainer.adapter_model import add_lora, answer_loss, base_of, logits_at
from trainer.base_model import load_model
from trainer.batches import collate
from trainer.config import LoraSettings
from trainer.encoding import EncodedRow
from trainer.trunk import Trunk, make_trunk

ROWS = [EncodedRow("a", (5, 6, 7, 8, 9), 4), EncodedRow("b", (5, 6, 7), 2), EncodedRow("c", (9, 8, 7, 6), 3)]


@pytest.fixture
def adapted(tiny_model: Path) -> Any:
    model = add_lora(load_model(tiny_model, torch.float32), LoraSettings(last_layers=1), seed=0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    return model


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list that the number of rows of each pass through the frozen layers will be in."""
    from trainer import trunk

    seen: list[int] = []
    inner = trunk.run_body

    def run(model: Any, batch: Any, states: Any) -> torch.Tensor:
        if states is None:
            seen.append(len(batch.ids))
        return inner(model, batch, states)

    monkeypatch.setattr(trunk, "run_body", run)
    return seen


def test_the_two_parts_give_the_logits_of_the_whole(adapted: Any):
    model, batch = base_of(adapted), collate(ROWS, pad=0)
    states = Trunk(model, 1).states(ROWS)
    torch.testing.assert_close(logits_at(model, batch, states, 1), logits_at(model, batch))


def test_the_two_parts_give_the_gradients_of_the_whole(adapted: Any):
    batch, model = collate(ROWS, pad=0), base_of(adapted)
    weights = [weight for weight in adapted.parameters() if weight.requires_grad]
    whole = torch.autograd.grad(answer_loss(adapted, batch), weights)
    parts = torch.autograd.grad(answer_loss(adapted, batch, Trunk(model, 1).states(ROWS), 1), weights)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other)


def test_states_are_computed_once(adapted: Any, monkeypatch: pytest.MonkeyPatch):
    trunk, seen = Trunk(base_of(adapted), 1), counted(monkeypatch)
    assert sum(trunk.fill(ROWS)) == 12
    first = trunk.states(ROWS)
    torch.testing.assert_close(trunk.states(ROWS), first)
    assert seen == [3]


def test_without_room_states_are_computed_each_time(adapted: Any, monkeypatch: pytest.MonkeyPatch):
    trunk, seen = Trunk(base_of(adapted), 1, room_gib=0.0), counted(monkeypatch)
    assert list(trunk.fill(ROWS)) == []
    torch.testing.assert_close(trunk.states(ROWS), trunk.states(ROWS))
    assert seen == [3, 3]


@pytest.mark.parametrize(("family", "kept"), [("llama", True), ("qwen2", True), ("gemma2", True), ("granite", False)])
def test_a_model_that_scales_what_goes_in_is_run_whole(
    tiny_model: Path, tmp_path: Path, family: str, kept: bool
):
    model = load_model(make_tiny(tmp_path, family, tokenizer_of=tiny_model), torch.float32)
    if family == "granite":
        model.model.embedding_multiplier = 12.0
    assert (make_trunk(model, 1, ROWS[0]) is not None) is kept


def test_without_frozen_layers_there_is_nothing_to_keep(adapted: Any):
    assert make_trunk(base_of(adapted), 0, ROWS[0]) is None
