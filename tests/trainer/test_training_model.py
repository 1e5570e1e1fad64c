from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.adapter_model import answer_loss, base_of
from trainer.batches import collate
from trainer.config import TrainConfig
from trainer.encoding import EncodedRow
from trainer.errors import ConfigError
from trainer.processes import Processes
from trainer.training_model import is_served_as_trained, model_to_train, require_hardware

BATCH = collate([EncodedRow("a", (5, 6, 7, 8), 2), EncodedRow("b", (9, 4, 7), 1)], pad=0)


def configured(settings: dict[str, Any], **training: Any) -> TrainConfig:
    changes = {"training": settings["training"] | {"dtype": "float32"} | training, "lora": {"rank": 4}}
    return TrainConfig.model_validate(settings | changes)


def gradients(model: Any) -> list[torch.Tensor]:
    answer_loss(model, BATCH).backward()
    return [weight.grad for weight in model.parameters() if weight.grad is not None]


def test_activations_that_are_computed_again_give_the_same_gradients(
    settings: dict[str, Any], tiny_model: Path
):
    kept, again = (
        model_to_train(tiny_model, configured(settings, gradient_checkpointing=on), (), Processes())
        for on in (False, True)
    )
    assert base_of(again).is_gradient_checkpointing
    assert not base_of(kept).is_gradient_checkpointing
    found, wanted = gradients(again), gradients(kept)
    assert len(found) > 0
    torch.testing.assert_close(found, wanted)


def test_adapters_begin_alike_on_all_processes_and_their_dropout_does_not(
    settings: dict[str, Any], tiny_model: Path
):
    weights, drawn = [], []
    for rank in range(2):
        model = model_to_train(tiny_model, configured(settings), (), Processes(rank, 2))
        weights.append([weight.detach() for weight in model.parameters() if weight.requires_grad])
        drawn.append(torch.rand(4))
    torch.testing.assert_close(weights[0], weights[1], atol=0, rtol=0)
    assert not torch.equal(drawn[0], drawn[1])


def test_new_tokens_are_not_trained_sharded(settings: dict[str, Any], tiny_model: Path):
    with pytest.raises(ConfigError, match="without FSDP"):
        model_to_train(tiny_model, configured(settings), (3,), Processes(0, 2, sharded=True))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_module_to_throw_away_is_not_trained_sharded(settings: dict[str, Any], tiny_model: Path):
    with pytest.raises(ConfigError, match="throwaway_module can't be sharded"):
        model_to_train(
            tiny_model, configured(settings, throwaway_module=True), (), Processes(0, 2, sharded=True)
        )


def test_a_four_bit_base_needs_a_gpu(settings: dict[str, Any]):
    with pytest.raises(ConfigError, match="training.quantize_base needs a GPU"):
        require_hardware(configured(settings, quantize_base="4bit"), Processes())


def test_a_four_bit_base_needs_bitsandbytes(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("trainer.base_model.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install"):
        require_hardware(configured(settings, quantize_base="4bit"), Processes())


def test_a_four_bit_base_is_not_sharded(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("trainer.training_model.require_four_bit", lambda: None)
    with pytest.raises(ConfigError, match="can't be sharded"):
        require_hardware(configured(settings, quantize_base="4bit"), Processes(0, 2, sharded=True))


def test_an_adapter_is_measured_on_the_base_it_is_served_on(settings: dict[str, Any]):
    assert is_served_as_trained(configured(settings), Processes(0, 2))
    assert not is_served_as_trained(configured(settings), Processes(0, 2, sharded=True))
    assert not is_served_as_trained(configured(settings, quantize_base="4bit"), Processes())


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or find_spec("bitsandbytes") is None,
    reason="there is no GPU or no bitsandbytes",
)
def test_a_four_bit_base_learns(settings: dict[str, Any], tiny_model: Path):
    model = model_to_train(tiny_model, configured(settings, quantize_base="4bit"), (), Processes())
    linear = base_of(model).model.layers[0].mlp.up_proj.base_layer
    assert type(linear).__name__ == "Linear4bit"
    assert any(gradient.abs().max() > 0 for gradient in gradients(model))
