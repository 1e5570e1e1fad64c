"""A merged copy answers as the base model with the adapter on does, and is refused once it was touched."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from rich.console import Console
from transformers import AutoConfig, AutoModelForCausalLM

from guard_server.adapter import LoadedAdapter, load_adapters
from guard_server.errors import GuardConfigError
from guard_server.merging import merged_copy
from guard_server.settings import GuardConfig
from tests.trainer.conftest import make_tiny, write_rows
from trainer.adapter_model import load_adapter
from trainer.base_model import load_tokenizer
from trainer.config import TrainConfig
from trainer.recipe import train

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedAdapter:
    return trained(base, tmp_path_factory.mktemp("trained"))


def trained(base: Path, home: Path, **task: Any) -> LoadedAdapter:
    data = {
        name: {"path": str(write_rows(home / f"{name}.jsonl", 16, name)), "id": "id"}
        for name in ("train", "trusted")
    }
    config: dict[str, Any] = {
        "name": "tiny",
        "base_model": str(base),
        "output": str(home / "out"),
        "data": data,
        "task": {"kind": "classification"} | task,
    }
    training = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}
    path = train(
        TrainConfig.model_validate(config | {"training": training}), Console(file=io.StringIO())
    ).path
    served = {"base_model": base, "adapters": [{"name": "tiny", "path": path}]}
    return load_adapters(GuardConfig.model_validate(served))["tiny"]


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(torch.tensor([[5, 6, 7, 8]])).logits
    return found


def test_merging_changes_no_answer(base: Path, adapter: LoadedAdapter, tmp_path: Path):
    merged = AutoModelForCausalLM.from_pretrained(merged_copy(adapter, base, tmp_path))
    plain = AutoModelForCausalLM.from_pretrained(base)
    before = logits(plain)
    with_adapter = logits(PeftModel.from_pretrained(plain, adapter.verified.path))
    torch.testing.assert_close(logits(merged), with_adapter, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(with_adapter, before, atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_merged_copy_holds_the_rows_of_new_tokens_and_their_tokenizer(family: str, tmp_path: Path):
    """Llama's small head is a matrix of its own, Gemma's is the embedding."""
    base = make_tiny(tmp_path / family, family)
    size = AutoConfig.from_pretrained(base).vocab_size
    grown = trained(base, tmp_path, new_tokens=True)
    copy = merged_copy(grown, base, tmp_path / "cache")
    merged = AutoModelForCausalLM.from_pretrained(copy, dtype=torch.float32)
    in_training = load_adapter(base, grown.verified.path, torch.float32, size + 4)
    found = logits(merged)
    assert found.shape[-1] == merged.config.vocab_size == size + 4
    torch.testing.assert_close(found, logits(in_training), rtol=1e-5, atol=1e-5)
    # Without the adapter the new rows are all the same, at every position; with it, two may be as good as equal at one.
    new = found[0, :, size:]
    assert not torch.allclose(new, new[:, :1].expand_as(new), atol=1e-3)
    tokenizer = load_tokenizer(copy)
    assert tokenizer.encode("<|label-3|>", add_special_tokens=False) == [size + 3]
    assert tokenizer.chat_template == load_tokenizer(base).chat_template


def test_a_copy_is_made_once_and_its_cache_is_private(base: Path, adapter: LoadedAdapter, tmp_path: Path):
    cache = tmp_path / "cache"
    first = merged_copy(adapter, base, cache)
    made = (first / "config.json").stat().st_mtime_ns
    assert merged_copy(adapter, base, cache) == first
    assert (first / "config.json").stat().st_mtime_ns == made
    assert cache.stat().st_mode & 0o077 == 0
    assert [path.name for path in cache.iterdir()] == [adapter.target]


def test_a_touched_copy_is_refused(base: Path, adapter: LoadedAdapter, tmp_path: Path):
    copy = merged_copy(adapter, base, tmp_path)
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    with pytest.raises(GuardConfigError, match="Remove it and start again"):
        merged_copy(adapter, base, tmp_path)


def test_the_guard_itself_loads_no_torch_for_it(base: Path, adapter: LoadedAdapter, tmp_path: Path):
    """Its memory would stay with the guard for as long as that runs."""
    served = {"base_model": str(base), "adapters": [{"name": "tiny", "path": str(adapter.verified.path)}]}
    code = f"""
import sys
from pathlib import Path
from guard_server.adapter import load_adapters
from guard_server.merging import merged_copy
from guard_server.settings import GuardConfig
config = GuardConfig.model_validate({served!r})
print(merged_copy(load_adapters(config)["tiny"], config.base_model, Path({str(tmp_path)!r})))
assert not {{"torch", "transformers", "peft"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert Path(done.stdout.strip()) == tmp_path / adapter.target


def test_a_base_model_that_can_not_be_loaded_is_an_error_with_its_reason(
    adapter: LoadedAdapter, tmp_path: Path
):
    with pytest.raises(GuardConfigError, match="can't be merged"):
        merged_copy(adapter, tmp_path, tmp_path / "cache")
    assert not any((tmp_path / "cache").iterdir())
