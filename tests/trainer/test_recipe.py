import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from p2p.manifest import sha256_file, verify_adapter
from tests.trainer.conftest import QUIET, make_tiny
from trainer.config import TrainConfig
from trainer.errors import CheckpointError
from trainer.loading import load_answerer
from trainer.recipe import train

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the tokenizer of the small real model."""
    return make_tiny(tmp_path_factory.mktemp("models") / "tiny")


def run(settings: dict[str, Any], **changes: Any) -> Path:
    return train(TrainConfig.model_validate(settings | changes), QUIET).path


def weights(adapter: Path) -> str:
    return sha256_file(adapter / "adapter_model.safetensors")


def test_a_run_gives_a_verified_adapter_with_figures(settings: dict[str, Any]):
    result = train(TrainConfig.model_validate(settings), QUIET)
    manifest = verify_adapter(result.path).manifest
    assert manifest.defence == "p2p"
    assert manifest.provenance.training["steps"] == 11
    assert [view["view"] for view in manifest.evaluation["views"]] == ["guarded", "unguarded"]
    assert manifest.evaluation["views"][0]["attacks"][0]["attack_success_rate"]["n"] == 8
    assert result.evaluation.rows == 16


def test_nothing_but_the_adapter_is_left(settings: dict[str, Any], tmp_path: Path):
    run(settings)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_same_seed_gives_the_same_adapter(settings: dict[str, Any], tmp_path: Path):
    first = run(settings, output=str(tmp_path / "a"))
    second = run(settings, output=str(tmp_path / "b"))
    other = run(settings, output=str(tmp_path / "c"), seed=8)
    assert weights(first) == weights(second) != weights(other)


def test_a_trigger_from_entropy_is_another_each_time(settings: dict[str, Any], tmp_path: Path):
    entropy = {"benign_trigger": {"source": "entropy"}}
    paths = [run(settings, output=str(tmp_path / name), **entropy) for name in "ab"]
    triggers = {verify_adapter(path).manifest.benign_trigger.text for path in paths}
    assert len(triggers) == 2


def test_a_published_adapter_answers_as_it_did_in_training(settings: dict[str, Any]):
    path = run(settings)
    answerer = load_answerer(path, settings["base_model"])
    answers = answerer.answer(["my parcel is late", "my invoice is wrong"], "guarded")
    assert {answer.answer for answer in answers} <= {"billing", "delivery"}


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "mistral", "gemma2", "gemma3_text"])
def test_other_model_families_are_trained(settings: dict[str, Any], tmp_path: Path, family: str):
    model = make_tiny(tmp_path / family, family)
    assert verify_adapter(run(settings, base_model=str(model))).manifest.base_model.id == family


def test_a_chat_prompt_and_generation_are_trained(settings: dict[str, Any]):
    task = {"kind": "generation", "max_new_tokens": 4}
    attack = {"evaluation": {"attacks": [{"name": "fixed_reply"}], "rows": 4}}
    path = run(settings, task=task, prompt={"kind": "chat", "system": "Sort."}, **attack)
    assert verify_adapter(path).manifest.task.prefix.endswith(":\n")


def test_an_output_that_is_there_is_not_overwritten(settings: dict[str, Any], tmp_path: Path):
    (tmp_path / "out").mkdir()
    with pytest.raises(CheckpointError, match="Remove it"):
        run(settings)


def test_a_failure_while_publishing_leaves_no_adapter(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("trainer.export.write_manifest", full)
    with pytest.raises(OSError, match="no space"):
        run(settings)
    assert not Path(settings["output"]).exists()


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    settings: dict[str, Any], tmp_path: Path, blow: signal.Signals
):
    slow = settings | {"training": settings["training"] | {"epochs": 40, "checkpoint_minutes": 0.0005}}
    whole = weights(run(slow, output=str(tmp_path / "whole")))
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(slow))
    command = [sys.executable, "-m", "p2p_guard_cli", "train", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = tmp_path / ".out.run" / "state.pt"
    deadline = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(blow)
    assert process.wait(60) == (-9 if blow is signal.SIGKILL else 130)
    assert state.exists()
    assert not (tmp_path / "out").exists()
    subprocess.run(
        [*command, "--resume"], check=True, stdout=subprocess.DEVNULL, env=os.environ | {"COLUMNS": "200"}
    )
    assert weights(tmp_path / "out") == whole


def test_an_unfinished_run_is_not_thrown_away_by_accident(settings: dict[str, Any], tmp_path: Path):
    (tmp_path / ".out.run").mkdir()
    with pytest.raises(CheckpointError, match="--resume"):
        run(settings)
