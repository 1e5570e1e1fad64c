"""The adapter directory appears whole or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from p2p.manifest import MANIFEST_NAME, record_base_model, verify_adapter
from p2p.prompts import PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask
from p2p.triggers import BenignTrigger
from trainer.adapter_model import add_lora
from trainer.answering import Adapter
from trainer.base_model import load_model
from trainer.config import LoraSettings
from trainer.export import AdapterFacts, publish

TASK = ClassificationTask(
    labels=("a", "b"), words=("0", "1", "2", "3"), token_ids=(18, 19, 20, 21), answer_context="|"
)
PROMPT = PromptTemplate(kind=PromptKind.COMPLETION, user="{input}|")


@pytest.fixture
def publish_to(tiny_model: Path) -> Callable[[Path], Path]:
    model = add_lora(load_model(tiny_model, torch.float32), LoraSettings(rank=2), seed=0)
    facts = AdapterFacts(
        name="a",
        defence="p2p",
        adapter=Adapter(TASK, PROMPT, BenignTrigger(text="Quiet barn: ")),
        base_model=record_base_model(tiny_model, "some/model", "0123"),
        data={"train": {"rows": 3}},
        selection={},
        repoison={},
        training={"seed": 0},
        evaluation=None,
    )
    return lambda output: publish(model, facts, output)


def test_what_is_published_is_verified_and_says_what_it_was_told(
    publish_to: Callable[[Path], Path], tmp_path: Path
):
    manifest = verify_adapter(publish_to(tmp_path / "deep" / "out")).manifest
    assert manifest.name == "a"
    assert manifest.task == TASK
    assert manifest.prompt == PROMPT
    assert manifest.benign_trigger is not None
    assert manifest.benign_trigger.text == "Quiet barn: "
    assert manifest.provenance.data == {"train": {"rows": 3}}
    assert set(manifest.provenance.training["packages"]) == {"torch", "transformers", "peft"}


def test_the_directory_holds_the_adapter_and_nothing_of_this_machine(
    publish_to: Callable[[Path], Path], tmp_path: Path, tiny_model: Path
):
    out = publish_to(tmp_path / "out")
    names = {path.name for path in out.iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors", MANIFEST_NAME}
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == "some/model"
    assert not any(str(tiny_model).encode() in path.read_bytes() for path in out.iterdir())


def test_only_its_owner_can_look_into_the_directory(publish_to: Callable[[Path], Path], tmp_path: Path):
    out = publish_to(tmp_path / "out")
    assert out.stat().st_mode & 0o777 == 0o700
    assert (out / MANIFEST_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "step", ["peft.PeftModel.save_pretrained", "trainer.export.write_manifest", "trainer.export._flush"]
)
@pytest.mark.parametrize("blow", [OSError("no space left"), KeyboardInterrupt()], ids=["full", "ctrl-c"])
def test_a_failure_in_the_middle_leaves_nothing(
    publish_to: Callable[[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    blow: BaseException,
):
    def fail(*_: Any, **__: Any) -> None:
        raise blow

    monkeypatch.setattr(step, fail)
    with pytest.raises(type(blow)):
        publish_to(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_at_the_output_until_everything_is_written(
    publish_to: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[bool] = []
    monkeypatch.setattr("trainer.export._flush", lambda _: seen.append((tmp_path / "out").exists()))
    assert publish_to(tmp_path / "out").exists()
    assert seen == [False]


def test_what_is_there_already_stays_as_it_is(publish_to: Callable[[Path], Path], tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").write_text("kept")
    with pytest.raises(OSError, match="not empty"):
        publish_to(tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "kept"]
