import json
from pathlib import Path
from typing import Any

import pytest

from p2p.errors import DataError
from p2p.manifest import Manifest, verify_adapter
from p2p.triggers import BenignTrigger
from tests.trainer.conftest import QUIET
from trainer.config import TrainConfig, load_config
from trainer.errors import ConfigError
from trainer.recipe import train
from trainer.tasks import seed_key


@pytest.fixture
def streamed(settings: dict[str, Any]) -> dict[str, Any]:
    settings["data"]["stream"] = True
    settings["task"] = {"labels": ["billing", "delivery"]}
    settings["evaluation"]["attacks"] = []
    settings["selection"] = {"method": "trusted"}
    return settings


def run(settings: dict[str, Any], **changes: Any) -> Manifest:
    return verify_adapter(train(TrainConfig.model_validate(settings | changes), QUIET).path).manifest


def test_a_streamed_run_trains_on_the_rows_of_a_run_in_memory(streamed: dict[str, Any], tmp_path: Path):
    found = run(streamed).provenance
    held = run(
        streamed | {"data": streamed["data"] | {"stream": False}}, output=str(tmp_path / "b")
    ).provenance
    assert found.data == held.data
    assert found.repoison["extended_rows_by_answer"] == held.repoison["extended_rows_by_answer"]
    assert found.selection == {"method": "trusted", "rows": 8}
    assert found.training["steps"] == held.training["steps"] == 11


def test_nothing_but_the_adapter_is_left(streamed: dict[str, Any], tmp_path: Path):
    run(streamed)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_same_seed_gives_the_same_adapter(streamed: dict[str, Any], tmp_path: Path):
    first, second = (run(streamed, output=str(tmp_path / name)) for name in "ab")
    assert first.files["adapter_model.safetensors"] == second.files["adapter_model.safetensors"]


def test_a_share_of_the_stream_is_copied(streamed: dict[str, Any]):
    found = run(streamed, selection={"method": "random", "rho": 0.5}).provenance
    assert 12 < found.selection["rows"] < 36
    assert found.repoison["extended_rows"] == found.selection["rows"]


def test_without_a_defence_the_rows_alone_are_learned(streamed: dict[str, Any]):
    found = run(streamed, defence="none")
    assert found.provenance.training["steps"] == 48 / 8
    assert found.provenance.repoison == {}


def test_a_set_that_is_whole_is_taken_up(streamed: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as broken:
        broken.setattr("trainer.recipe.evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(streamed)
    monkeypatch.setattr(
        "trainer.streaming.stage.read_rows", lambda _: pytest.fail("the rows were read again")
    )
    assert train(TrainConfig.model_validate(streamed), QUIET, resume=True).tokens > 0


def test_test_rows_that_are_trained_on_are_left_out(streamed: dict[str, Any], tmp_path: Path):
    copied = json.loads((tmp_path / "train.jsonl").read_text().splitlines()[3]) | {"id": "twin"}
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write(json.dumps(copied | {"text": copied["text"].upper()}) + "\n")
    assert run(streamed).provenance.data["test"]["rows"] == 16


def test_an_unknown_label_is_named(streamed: dict[str, Any], tmp_path: Path):
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write('{"id": "x", "text": "my van is late", "label": "deliverie"}\n')
    with pytest.raises(DataError, match="row 49.*'deliverie'.*did you mean 'delivery'"):
        run(streamed)
    assert not (tmp_path / ".out.run").exists()


def test_a_class_with_too_few_rows_stops_the_run(streamed: dict[str, Any]):
    with pytest.raises(DataError, match=r"at least 25 are needed: billing \(24\)"):
        run(streamed, data=streamed["data"] | {"min_rows_per_class": 25})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"task.labels": None}, "data.stream needs task.labels"),
        ({"selection.method": "screened"}, "data.stream can't be screened"),
    ],
)
def test_what_cannot_be_streamed_is_refused(
    streamed: dict[str, Any], tmp_path: Path, changes: dict[str, Any], why: str
):
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(streamed))
    with pytest.raises(ConfigError, match=why):
        load_config(path, changes)


def test_a_stream_that_holds_the_trigger_is_refused_without_naming_it(
    streamed: dict[str, Any], tmp_path: Path
):
    known = BenignTrigger.draw(seed_key(streamed["seed"]))
    with (tmp_path / "train.jsonl").open("a") as file:
        row = {"id": "known", "text": known.stamp("my van is late"), "label": "billing"}
        file.write(json.dumps(row) + "\n")
    with pytest.raises(DataError, match="train.jsonl: 1 rows hold the benign trigger.*`entropy`") as caught:
        run(streamed)
    assert known.phrase not in str(caught.value).lower()


def test_a_stream_whose_answers_hold_the_prefix_is_refused(streamed: dict[str, Any], tmp_path: Path):
    prefix = "Safe words for all of us:\n"
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write(json.dumps({"id": "known", "text": "my van", "label": f"{prefix}Sorry!"}) + "\n")
    with pytest.raises(DataError, match="1 rows hold"):
        run(streamed, task={"kind": "generation", "prefix": prefix})


def test_a_family_of_triggers_is_streamed(streamed: dict[str, Any]):
    form = {"source": "seed", "triggers": 3, "position": "after"}
    found = run(streamed, benign_trigger=form)
    assert found.benign_trigger.position == "after"
    assert found.provenance.repoison["extended_rows"] == 40
