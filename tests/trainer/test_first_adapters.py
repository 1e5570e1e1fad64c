"""A run whose rows are screened twice: it can be stopped in either training, and says what it found."""

import io
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rich.console import Console

from p2p.examples import Example
from p2p.manifest import sha256_file, verify_adapter
from tests.trainer.conftest import QUIET
from trainer.adapter_model import answer_loss
from trainer.answering import Answerer
from trainer.config import TrainConfig
from trainer.errors import CheckpointError, ConfigError, InterruptedRunError
from trainer.first_adapters import both_views
from trainer.processes import Processes
from trainer.recipe import train
from trainer.selection.second_round import Views

TWICE = {"method": "screened", "rho": 0.5, "least_per_label": 1, "second_round": {"epochs": 1}}
# 48 rows and 12 copies, 8 a step; the final one learns 48 and 24.
STEPS_OF_ONE = 8


@pytest.fixture
def twice(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    def centred(*asked: Any) -> Views:
        """What a random model says differs by hairs around one label: of each, half of the rows are to be believed."""
        return Views(*(0.5 + said - np.median(said, axis=0) for said in both_views(*asked)))

    monkeypatch.setattr("trainer.first_adapters.both_views", centred)
    del settings["data"]["trusted"]
    settings["evaluation"] = {"attacks": [], "rows": 4}
    settings["training"]["learning_rate"] = 0.03
    settings["repoison"] = {"copies": 1}
    return settings | {"selection": TWICE}


def run(settings: dict[str, Any], console: Console = QUIET, *, resume: bool = False, **changes: Any) -> Path:
    return train(TrainConfig.model_validate(settings | changes), console, resume=resume).path


def weights(adapter: Path) -> str:
    return sha256_file(adapter / "adapter_model.safetensors")


def published(adapter: Path) -> list[str]:
    return [sha256_file(adapter / name) for name in ("adapter_model.safetensors", "selection.json")]


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> list[int]:
    """Send SIGTERM in a step, and return where the steps are counted."""
    steps: list[int] = []

    def signalled(*asked: Any) -> Any:
        steps.append(1)
        if len(steps) == step:
            signal.raise_signal(signal.SIGTERM)
        return answer_loss(*asked)

    monkeypatch.setattr("trainer.fitting.answer_loss", signalled)
    return steps


def test_two_adapters_are_trained_before_the_final_one_and_nothing_is_left(
    twice: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps = stop_at(monkeypatch, -1)
    manifest = verify_adapter(run(twice)).manifest
    assert len(steps) == 2 * STEPS_OF_ONE + manifest.provenance.training["steps"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_both_rounds_stand_in_the_provenance_by_ids_and_scores(twice: dict[str, Any]):
    path = run(twice)
    manifest = verify_adapter(path).manifest
    found = manifest.provenance.selection
    report = json.loads((path / "selection.json").read_text())
    ids = {f"train {at}" for at in range(48)}
    assert found["second_round"]["suspects"] == len(report["second_round_suspects"]) > 0
    assert set(report["second_round_suspects"]) <= ids
    # All rows and half of the copies, twice; then all rows and the copies that are left.
    assert 1 < found["second_round"]["tokens"] / manifest.provenance.training["tokens"] < 3
    assert {"guarded", "plain"} == set(next(iter(report["second_round_suspects"].values())))
    assert "my invoice" not in (path / "selection.json").read_text()


@pytest.mark.parametrize(
    "step", [3, STEPS_OF_ONE + 3, 2 * STEPS_OF_ONE + 2], ids=["first", "second", "final"]
)
def test_a_run_that_was_stopped_in_any_training_ends_with_the_same_weights(
    twice: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
):
    whole = published(run(twice, output=str(tmp_path / "whole")))
    steps = stop_at(monkeypatch, step)
    with pytest.raises(InterruptedRunError):
        run(twice)
    taken = len(steps)
    total = 2 * STEPS_OF_ONE + verify_adapter(tmp_path / "whole").manifest.provenance.training["steps"]
    assert published(run(twice, resume=True)) == whole
    assert (taken, len(steps)) == (step, total)


def test_the_final_training_begins_as_if_nothing_had_been_before(
    twice: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def believe(_: Answerer, asked: Sequence[Example]) -> Views:
        labels = np.array([[row.answer == "billing", row.answer == "delivery"] for row in asked], dtype=float)
        return Views(labels, labels)

    monkeypatch.setattr("trainer.first_adapters.both_views", believe)
    first = {name: value for name, value in TWICE.items() if name != "second_round"}
    once = weights(run(twice, output=str(tmp_path / "once"), selection=first))
    # All is believed, so that S is what the first round gives.
    assert weights(run(twice)) == once


def test_a_row_left_out_is_in_neither_half(twice: dict[str, Any]):
    path = run(twice, selection=TWICE | {"second_round": {"drop": True}})
    found = verify_adapter(path).manifest.provenance
    assert found.selection["dropped"] > 0
    assert found.repoison["original_rows"] == 48 - found.selection["dropped"]


def test_what_first_adapters_said_of_other_rows_is_not_used(
    twice: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    stop_at(monkeypatch, STEPS_OF_ONE + 3)
    with pytest.raises(InterruptedRunError):
        run(twice)
    said = Path(twice["output"]).with_name(".out.run") / "views-0.json"
    content = json.loads(said.read_text())
    said.write_text(json.dumps(content | {"ids": content["ids"][::-1]}))
    with pytest.raises(CheckpointError, match="is of other rows"):
        run(twice, resume=True)


def test_what_first_adapters_said_is_kept_from_other_people_and_has_no_text(
    twice: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    stop_at(monkeypatch, STEPS_OF_ONE + 3)
    with pytest.raises(InterruptedRunError):
        run(twice)
    folder = Path(twice["output"]).with_name(".out.run")
    assert folder.stat().st_mode & 0o077 == 0
    content = json.loads((folder / "views-0.json").read_text())
    assert set(content) == {"ids", "guarded", "plain", "tokens", "seconds"}
    assert not (folder / "first-0.pt").exists()


def test_a_person_is_told_which_adapter_is_trained_and_what_came_of_it(twice: dict[str, Any]):
    heard = io.StringIO()
    run(twice, Console(file=heard, width=300))
    assert "second round of screening: adapter 1 of 2" in heard.getvalue()
    assert "suspects in the second round" in heard.getvalue()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"selection": TWICE | {"method": "random"}}, "others have no first round"),
        ({"defence": "none"}, "without one nothing is selected"),
        ({"task": {"kind": "generation"}}, "isn't available for free text"),
        ({"training": {"throwaway_module": True}}, "throwaway_module"),
    ],
)
def test_a_second_round_that_can_not_be_had_is_refused_with_its_reason(
    twice: dict[str, Any], changes: dict[str, Any], said: str
):
    with pytest.raises(ValidationError, match=said):
        TrainConfig.model_validate(twice | changes)


def test_several_processes_are_refused(twice: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("trainer.recipe.join_processes", lambda: Processes(rank=0, size=2))
    with pytest.raises(ConfigError, match="launch one"):
        run(twice)
