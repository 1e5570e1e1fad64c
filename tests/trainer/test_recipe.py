import copy
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from p2p.attacks.registry import make_attack
from p2p.drawn_triggers import TriggerForm, draw_triggers
from p2p.manifest import MANIFEST_NAME, sha256_file, verify_adapter
from p2p.prompts import PromptTemplate
from p2p.triggers import BenignTrigger, Position
from tests.trainer.conftest import QUIET, make_tiny
from trainer.announcements import announce_words
from trainer.base_model import load_tokenizer
from trainer.config import TrainConfig
from trainer.datasets import load_splits
from trainer.errors import BaseModelError, CheckpointError, InterruptedRunError
from trainer.evaluations import evaluate
from trainer.fitting import schedule
from trainer.loading import load_answerer
from trainer.recipe import train
from trainer.tasks import make_task, seed_key
from trainer.whole_blocks import fills_blocks


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


WORDS = pytest.mark.parametrize(
    "task", [{"words": ["no", "nay", "safe no", "safe nay"]}, {"new_tokens": True}], ids=["spelled", "new"]
)


@WORDS
def test_words_of_several_tokens_and_new_ones_are_learned_and_answer_alike_once_published(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, task: dict[str, Any]
):
    from trainer.adapter_model import answer_loss

    losses: list[float] = []

    def watched(*asked: Any) -> Any:
        loss = answer_loss(*asked)
        losses.append(float(loss.detach()))
        return loss

    monkeypatch.setattr("trainer.fitting.answer_loss", watched)
    settings["training"] |= {"epochs": 4, "learning_rate": 0.03}
    config = TrainConfig.model_validate(settings | {"task": task})
    trained = train(config, QUIET)
    # A frozen random head can say little of words that are there; new rows of it can say all.
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - (2 if "new_tokens" in task else 0.1)
    test = load_splits(config.data, None, classify=True).test
    attacks = [make_attack(one.name, one.parameters) for one in config.evaluation.attacks]
    loaded = load_answerer(trained.path, config.base_model)
    assert evaluate(loaded, test, attacks, config.seed) == trained.evaluation


@WORDS
def test_a_run_with_such_words_that_is_taken_up_ends_with_the_same_weights(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: dict[str, Any]
):
    from trainer.adapter_model import answer_loss

    settings |= {"task": task}
    whole = weights(run(settings, output=str(tmp_path / "whole")))
    steps: list[int] = []

    def signalled(*asked: Any) -> Any:
        steps.append(1)
        if len(steps) == 4:
            signal.raise_signal(signal.SIGTERM)
        return answer_loss(*asked)

    monkeypatch.setattr("trainer.fitting.answer_loss", signalled)
    with pytest.raises(InterruptedRunError):
        run(settings)
    train(TrainConfig.model_validate(settings), QUIET, resume=True)
    assert weights(tmp_path / "out") == whole


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({}, ""),
        ({"words": ["no", "yes", "safe", "well"]}, ""),
        ({"words": ["no", "nay", "safe no", "safe nay"]}, "served without log-probabilities"),
        ({"new_tokens": True}, "4 new tokens for the labels: it can be served merged only"),
    ],
)
def test_what_label_words_mean_for_serving_is_said(tokenizer: Any, task: dict[str, Any], said: str):
    config = TrainConfig.model_validate(make_settings_of(task))
    heard = io.StringIO()
    announce_words(
        Console(file=heard, width=200), make_task(config, copy.deepcopy(tokenizer), ["a", "b"], b"")
    )
    assert said in heard.getvalue()
    assert bool(said) == bool(heard.getvalue())


def make_settings_of(task: dict[str, Any]) -> dict[str, Any]:
    data = {"train": {"path": "t.jsonl"}, "trusted": {"path": "s.jsonl"}}
    prompt = {"kind": "completion", "user": "{input}\nAnswer: "}
    return {"name": "a", "base_model": "m", "output": "o", "data": data, "prompt": prompt, "task": task}


def test_only_the_rows_of_new_tokens_are_published(settings: dict[str, Any], tiny_model: Path):
    from safetensors.torch import load_file

    path = run(settings, task={"new_tokens": True})
    extra = {
        name: tuple(found.shape)
        for name, found in load_file(path / "adapter_model.safetensors").items()
        if "lora_" not in name
    }
    assert extra == {"base_model.model.lm_head.token_adapter.trainable_tokens_delta": (4, 32)}
    assert {"tokenizer.json", "tokenizer_config.json"} <= set(verify_adapter(path).manifest.files)
    assert not any(str(tiny_model).encode() in file.read_bytes() for file in path.iterdir())


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
def test_other_model_families_are_trained(
    settings: dict[str, Any], tmp_path: Path, tiny_model: Path, family: str
):
    model = make_tiny(tmp_path / family, family, tokenizer_of=tiny_model)
    assert verify_adapter(run(settings, base_model=str(model))).manifest.base_model.id == family


@pytest.mark.model
@pytest.mark.parametrize("kind", ["classification", "generation"])
def test_the_tokenizer_and_chat_template_of_a_real_model_are_trained_with(
    settings: dict[str, Any], tmp_path: Path, kind: str
):
    model = make_tiny(tmp_path / "real")
    evaluation = {"attacks": [], "rows": 4}
    prompt = {"kind": "chat", "system": "Sort."}
    path = run(settings, base_model=str(model), task={"kind": kind}, prompt=prompt, evaluation=evaluation)
    assert verify_adapter(path).manifest.task.kind == kind


def test_an_undefended_run_has_no_trigger_and_no_copies(settings: dict[str, Any]):
    manifest = verify_adapter(run(settings, defence="none")).manifest
    assert manifest.benign_trigger is None
    assert manifest.provenance.training["steps"] == 48 / 8
    assert [view["view"] for view in manifest.evaluation["views"]] == ["unguarded"]


def test_random_selection_copies_the_share_that_is_asked_for(settings: dict[str, Any]):
    manifest = verify_adapter(run(settings, selection={"method": "random", "rho": 0.25})).manifest
    assert manifest.provenance.selection == {"method": "random", "rows": 12}


def test_without_a_test_split_nothing_is_measured(settings: dict[str, Any]):
    del settings["data"]["test"]
    result = train(TrainConfig.model_validate(settings), QUIET)
    assert result.evaluation is None
    assert verify_adapter(result.path).manifest.evaluation is None


def test_rows_that_are_cut_are_told_and_recorded(settings: dict[str, Any]):
    said = io.StringIO()
    settings["training"]["max_length"] = 80
    result = train(TrainConfig.model_validate(settings), Console(file=said, width=200))
    cut = verify_adapter(result.path).manifest.provenance.training["rows_cut"]
    assert cut > 0
    assert f"{cut} rows were longer than 80 tokens and lost their end, or early turns" in said.getvalue()


def test_training_lowers_the_loss(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    from trainer.report import TrainingProgress

    losses: list[float] = []
    monkeypatch.setattr(TrainingProgress, "advance", lambda *seen: losses.append(seen[-1]))
    run(settings, training=settings["training"] | {"epochs": 4})
    # A frozen random head can't say much: what can be learned here is a fraction of a nat.
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.2


@pytest.mark.parametrize(("step", "share"), [(0, 1 / 3), (2, 1.0), (3, 1.0), (8, 2 / 7), (9, 1 / 7)])
def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero(step: int, share: float):
    assert schedule(step, steps=10, warmup=0.3) == pytest.approx(share)


def test_without_a_warm_up_training_begins_at_the_peak():
    assert [schedule(step, steps=2, warmup=0.0) for step in range(2)] == [1.0, 0.5]


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_taken_up_after_a_signal_ends_with_the_same_weights(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
):
    from trainer.adapter_model import answer_loss

    whole = weights(run(settings, output=str(tmp_path / "whole")))
    steps: list[int] = []

    def signalled(*asked: Any) -> Any:
        steps.append(1)
        if len(steps) == 4:
            signal.raise_signal(number)
        return answer_loss(*asked)

    monkeypatch.setattr("trainer.fitting.answer_loss", signalled)
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(InterruptedRunError, match="stopped after step 4 of 11.*--resume"):
        run(settings)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers
    train(TrainConfig.model_validate(settings), QUIET, resume=True)
    assert weights(tmp_path / "out") == whole
    assert len(steps) == 11


def test_weights_that_are_done_are_not_learned_again(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    config = TrainConfig.model_validate(settings)
    with monkeypatch.context() as broken:
        broken.setattr("trainer.recipe.evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, QUIET)
    monkeypatch.setattr("trainer.fitting.answer_loss", lambda *_: pytest.fail("a step was made"))
    assert train(config, QUIET, resume=True).tokens > 0


def test_a_base_model_that_cannot_be_loaded_leaves_no_run_behind(
    settings: dict[str, Any], tmp_path: Path, tiny_model: Path
):
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BaseModelError):
        run(settings, base_model=str(broken))
    assert not (tmp_path / ".out.run").exists()


@pytest.mark.model
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    settings: dict[str, Any], tmp_path: Path, blow: signal.Signals
):
    model = {"base_model": str(make_tiny(tmp_path / "real"))}
    slow = settings | model | {"training": settings["training"] | {"epochs": 12, "checkpoint_minutes": 0.002}}
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
    assert (tmp_path / ".out.run").exists()


def test_a_run_is_begun_again_where_that_is_asked(settings: dict[str, Any], tmp_path: Path):
    (tmp_path / ".out.run").mkdir()
    assert train(TrainConfig.model_validate(settings), QUIET, restart=True).path == tmp_path / "out"
    assert not (tmp_path / ".out.run").exists()


def test_a_trigger_that_rows_hold_is_drawn_again_and_counted(settings: dict[str, Any], tmp_path: Path):
    known = BenignTrigger.draw(seed_key(settings["seed"]))
    with (tmp_path / "train.jsonl").open("a") as file:
        row = {"id": "known", "text": known.stamp("my mn van"), "label": "billing"}
        file.write(json.dumps(row) + "\n")
    shown = io.StringIO()
    result = train(TrainConfig.model_validate(settings), Console(file=shown, width=200))
    manifest = verify_adapter(result.path).manifest
    assert manifest.benign_trigger.phrase != known.phrase
    assert manifest.provenance.training["trigger_redraws"] == 1
    said = shown.getvalue()
    assert "1 drawn benign triggers stood in the rows already" in said
    assert not any(trigger.phrase in said.lower() for trigger in (known, manifest.benign_trigger))


def test_a_trigger_is_lengthened_until_a_block_is_full(settings: dict[str, Any], tiny_model: Path):
    # A token a byte: a block of 8 is filled by one of a few lengths.
    form = {"source": "seed", "block_tokens": 8, "most_words": 40}
    trigger = verify_adapter(run(settings, benign_trigger=form)).manifest.benign_trigger
    assert trigger == BenignTrigger.draw(seed_key(7), words=len(trigger.phrase.split()))
    template = PromptTemplate.model_validate(settings["prompt"])
    assert fills_blocks(load_tokenizer(tiny_model), template, 8)(trigger)


@pytest.mark.parametrize(("block", "is_said"), [(8, False), (256, True)])
def test_a_trigger_that_no_block_ends_with_is_said(settings: dict[str, Any], block: int, is_said: bool):
    said = io.StringIO()
    settings["benign_trigger"] = {
        "source": "seed",
        "block_tokens": block,
        "most_words": 40 if block == 8 else 5,
    }
    train(TrainConfig.model_validate(settings), Console(file=said, width=400))
    assert (f"that ends a block of {block} tokens together" in said.getvalue()) is is_said


@pytest.mark.parametrize("form", [{"block_tokens": 0}, {"position": "after", "block_tokens": 8}])
def test_a_trigger_that_is_not_to_fill_blocks_has_its_words(settings: dict[str, Any], form: dict[str, Any]):
    path = run(settings, benign_trigger={"source": "seed", "words": 6, "most_words": 40} | form)
    assert len(verify_adapter(path).manifest.benign_trigger.phrase.split()) == 6


def test_a_longer_trigger_after_the_input_and_a_family_are_trained_and_the_manifest_holds_one(
    settings: dict[str, Any],
):
    form = {"words": 8, "position": "after", "triggers": 3}
    path = run(settings, benign_trigger={"source": "seed"} | form)
    manifest = verify_adapter(path).manifest
    drawn = draw_triggers(seed_key(7), [], TriggerForm(words=8, position=Position.AFTER, triggers=3))
    assert manifest.benign_trigger == drawn.served
    text = (path / MANIFEST_NAME).read_text().lower()
    assert drawn.served.phrase in text
    assert not any(other.phrase in text for other in drawn.others)
