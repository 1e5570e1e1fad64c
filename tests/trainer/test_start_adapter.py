"""Going on from an adapter: what is read, what is refused and with which next step, and what a run makes of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from p2p.errors import BaseModelMismatchError, DigestMismatchError
from tests.trainer.conftest import make_tiny
from trainer.adapter_model import add_lora
from trainer.base_model import BaseModel, load_model
from trainer.config import LoraSettings, TrainConfig
from trainer.errors import StartAdapterError
from trainer.start_adapter import StartAdapter, doubts, read_start_adapter, require_fits
from trainer.tasks import make_task

LORA = LoraSettings(rank=4, alpha=8)


def saved(folder: Path, model: Path, lora: LoraSettings = LORA, **changes: Any) -> Path:
    """Save an adapter as PEFT does, without a manifest."""
    tuned = add_lora(load_model(model, torch.float32), lora, seed=5)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    tuned.save_pretrained(folder, save_embedding_layers=False)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def base_of(model: Path) -> BaseModel:
    return BaseModel(model, model.name, None)


def read(adapter: Path, model: Path, lora: LoraSettings = LORA) -> StartAdapter:
    start = read_start_adapter(adapter, base_of(model), lora)
    require_fits(start, base_of(model), lora, ())
    return start


def test_the_weights_are_put_on(tmp_path: Path, tiny_model: Path):
    adapter = saved(tmp_path / "a", tiny_model)
    fresh = add_lora(load_model(tiny_model, torch.float32), LORA, seed=0)
    read(adapter, tiny_model).put_on(fresh, 1.0)
    torch.testing.assert_close(
        get_peft_model_state_dict(fresh), load_file(adapter / "adapter_model.safetensors")
    )


def test_the_digest_is_that_of_config_and_weights(tmp_path: Path, tiny_model: Path):
    adapter = saved(tmp_path / "a", tiny_model)
    digest = read(adapter, tiny_model).digest
    (adapter / "README.md").write_text("other")
    assert read(adapter, tiny_model).digest == digest
    path = adapter / "adapter_model.safetensors"
    weights = load_file(path)
    weights[min(weights)][0, 0] += 1
    save_file(weights, path, metadata={"format": "pt"})
    assert read(adapter, tiny_model).digest != digest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "IA3"}, "is of the kind IA3.*merge it into its base model"),
        ({"use_dora": True, "bias": "all"}, "no plain LoRA: it sets use_dora, bias"),
        ({"alpha_pattern": {"q_proj": 2}}, "no plain LoRA: it sets alpha_pattern"),
        ({"r": 8, "lora_alpha": 16}, "has rank 8 and alpha 16, this run 4 and 8. Set lora.rank to 8"),
    ],
)
def test_what_its_config_says_must_be_the_run_s(
    tmp_path: Path, tiny_model: Path, changes: dict[str, Any], said: str
):
    adapter = saved(tmp_path / "a", tiny_model, **changes)
    with pytest.raises(StartAdapterError, match=said):
        read(adapter, tiny_model)


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"target_modules": ("q_proj", "v_proj")}, r"has no weights for .*down_proj.* and 17 more"),
        ({"last_layers": 1}, r"no weights for .*layers.0.*It sits on .*v_proj of layers 1 to 1"),
    ],
)
def test_an_adapter_on_other_modules_says_on_which(
    tmp_path: Path, tiny_model: Path, lora: dict[str, Any], said: str
):
    adapter = saved(tmp_path / "a", tiny_model, LORA.model_copy(update=lora))
    with pytest.raises(StartAdapterError, match=said) as caught:
        read(adapter, tiny_model)
    assert "set lora.target_modules to [" in str(caught.value)
    # The way round: the run's adapter sits on fewer modules.
    whole = saved(tmp_path / "b", tiny_model)
    with pytest.raises(StartAdapterError, match="has weights for .*, where this run has no adapter"):
        read(whole, tiny_model, LORA.model_copy(update=lora))


def test_an_adapter_of_a_base_model_of_another_size_is_refused(tmp_path: Path, tiny_model: Path):
    adapter = saved(tmp_path / "a", tiny_model)
    path = adapter / "adapter_model.safetensors"
    weights = {
        name: weight.repeat(1, 2) if "lora_A" in name else weight for name, weight in load_file(path).items()
    }
    save_file(weights, path)
    with pytest.raises(
        StartAdapterError, match=r"belongs to another base model.*Give its own as `base_model`"
    ):
        read(adapter, tiny_model)


@pytest.mark.parametrize(
    ("lost", "content", "said"),
    [
        (".", None, "there is no adapter directory"),
        ("adapter_config.json", None, "can't be read .*A merged model needs no `from_adapter`"),
        ("adapter_config.json", b"{", "can't be read"),
        ("adapter_config.json", b"[]", "holds no settings"),
        ("adapter_model.safetensors", None, "other|in another format than safetensors"),
        ("adapter_model.safetensors", b"damaged", "can't be read .*Copy the directory again"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, tiny_model: Path, lost: str, content: bytes | None, said: str
):
    adapter = saved(tmp_path / "a", tiny_model)
    if lost == ".":
        shutil.rmtree(adapter)
    elif content is None:
        (adapter / lost).unlink()
    else:
        (adapter / lost).write_bytes(content)
    with pytest.raises(StartAdapterError, match=said):
        read(adapter, tiny_model)


def test_an_adapter_with_a_manifest_is_checked_against_it(tmp_path: Path, trained: Path, tiny_model: Path):
    lora = LoraSettings(rank=4)
    start = read(trained, tiny_model, lora)
    assert start.manifest is not None
    assert start.record(0.5) == {"name": "tiny", "sha256": start.digest, "share": 0.5}
    other = make_tiny(tmp_path / "other", "qwen2", tokenizer_of=tiny_model)
    with pytest.raises(BaseModelMismatchError):
        read(trained, other, lora)
    changed = shutil.copytree(trained, tmp_path / "changed")
    (changed / "adapter_model.safetensors").write_bytes(b"changed")
    with pytest.raises(DigestMismatchError):
        read(changed, tiny_model, lora)


def doubts_of(
    start: StartAdapter, settings: dict[str, Any], model: Path, tokenizer: Any, **changes: Any
) -> str:
    config = TrainConfig.model_validate(settings | changes)
    task = make_task(config, tokenizer, ["billing", "delivery"], b"key")
    return " ".join(doubts(start, base_of(model), config, task))


def test_what_may_be_wrong_is_said(trained: Path, tiny_model: Path, settings: dict[str, Any], tokenizer: Any):
    start = read(trained, tiny_model, LoraSettings(rank=4))
    asked = (start, settings, tiny_model, tokenizer)
    assert doubts_of(*asked) == ""
    assert "another prompt" in doubts_of(*asked, prompt={"kind": "completion", "user": "{input}\nSay: "})
    assert "other labels or label words" in doubts_of(*asked, task={"words": ["a", "b", "c", "d"]})


def test_a_base_model_of_another_name_is_said(
    tmp_path: Path, tiny_model: Path, settings: dict[str, Any], tokenizer: Any
):
    named = saved(tmp_path / "a", tiny_model, base_model_name_or_path="owner/other")
    start = read(named, tiny_model)
    assert "is called 'owner/other' there, 'tiny' here" in doubts_of(start, settings, tiny_model, tokenizer)
    same = start._replace(settings={"base_model_name_or_path": f"/elsewhere/{tiny_model.name}"})
    assert doubts_of(same, settings, tiny_model, tokenizer) == ""
