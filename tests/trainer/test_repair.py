"""Runs that repair what is backdoored already, and those that train the halves in their own ways."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from p2p.manifest import read_manifest, verify_adapter
from tests.trainer.conftest import QUIET
from trainer.adapter_model import load_adapter
from trainer.base_model import load_tokenizer
from trainer.config import TrainConfig
from trainer.errors import CheckpointError, InterruptedRunError
from trainer.mixing import KEPT_SHARE, keep_share
from trainer.recipe import train


def run(settings: dict[str, Any], **changes: Any) -> Path:
    return train(TrainConfig.model_validate(settings | changes), QUIET).path


def weights(adapter: Path) -> dict[str, torch.Tensor]:
    return load_file(adapter / "adapter_model.safetensors")


@pytest.fixture
def backdoored(settings: dict[str, Any], tmp_path: Path) -> Path:
    return run(settings, defence="none", output=str(tmp_path / "backdoored"), name="backdoored")


@pytest.fixture
def repair(settings: dict[str, Any], backdoored: Path) -> dict[str, Any]:
    """A run from the backdoored adapter with the trusted rows alone."""
    del settings["data"]["train"]
    return settings | {"from_adapter": str(backdoored), "data": settings["data"] | {"min_rows_per_class": 4}}


def test_an_adapter_is_repaired_with_trusted_rows_alone(repair: dict[str, Any], backdoored: Path):
    manifest = verify_adapter(run(repair)).manifest
    facts = manifest.provenance
    start = facts.training["start_adapter"]
    assert start["name"] == "backdoored"
    assert len(start["sha256"]) == 64
    assert start["share"] == KEPT_SHARE
    assert sorted(facts.data) == ["test", "trusted"]
    assert facts.selection == {"method": "trusted", "rows": 8}
    assert (facts.repoison["original_rows"], facts.repoison["extended_rows"]) == (8, 40)
    assert facts.repoison["with_pure_span"] == 0
    assert [view["view"] for view in manifest.evaluation["views"]] == ["guarded", "unguarded"]


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_repair_begins_with_a_share_of_the_adapter(repair: dict[str, Any], backdoored: Path, share: float):
    still = repair["training"] | {"learning_rate": 1e-12}
    begun = weights(run(repair, training=still, from_adapter_share=share))
    torch.testing.assert_close(begun, keep_share(weights(backdoored), share))


def test_by_default_most_of_the_adapter_is_left_out(repair: dict[str, Any]):
    assert TrainConfig.model_validate(repair).from_adapter_share == KEPT_SHARE < 0.5


def test_the_training_set_may_be_there_too(repair: dict[str, Any], backdoored: Path):
    data = repair["data"] | {"train": {"path": str(backdoored.parent / "train.jsonl"), "id": "id"}}
    facts = verify_adapter(run(repair, data=data)).manifest.provenance
    assert (facts.data["train"]["rows"], facts.repoison["original_rows"]) == (48, 48)


def stopped_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the run asked to stop in its nth step."""
    inner, taken = torch.nn.utils.clip_grad_norm_, []

    def signalled(*asked: Any) -> Any:
        taken.append(1)
        if len(taken) == steps:
            signal.raise_signal(signal.SIGTERM)
        return inner(*asked)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", signalled)


def test_a_repair_that_is_taken_up_ends_with_the_same_weights(
    repair: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = weights(run(repair, output=str(tmp_path / "whole")))
    stopped_after(2, monkeypatch)
    with pytest.raises(InterruptedRunError):
        run(repair)
    train(TrainConfig.model_validate(repair), QUIET, resume=True)
    torch.testing.assert_close(weights(tmp_path / "out"), whole, atol=0, rtol=0)


def test_a_repair_is_not_taken_up_where_the_adapter_has_changed(
    repair: dict[str, Any], backdoored: Path, monkeypatch: pytest.MonkeyPatch
):
    plain = shutil.copytree(backdoored, backdoored.with_name("plain"))
    (plain / "p2p_manifest.json").unlink()
    asked = repair | {"from_adapter": str(plain)}
    stopped_after(2, monkeypatch)
    with pytest.raises(InterruptedRunError):
        run(asked)
    changed = {name: weight + 1 for name, weight in weights(plain).items()}
    save_file(changed, plain / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="began with another adapter"):
        train(TrainConfig.model_validate(asked), QUIET, resume=True)


def test_a_merged_model_is_repaired_as_a_base_model(
    repair: dict[str, Any], backdoored: Path, tiny_model: Path
):
    merged = backdoored.with_name("merged")
    load_adapter(tiny_model, backdoored, torch.float32).save_pretrained(merged)
    load_tokenizer(tiny_model).save_pretrained(merged)
    manifest = verify_adapter(run(repair, base_model=str(merged), from_adapter=None)).manifest
    assert manifest.base_model.id == "merged"
    assert manifest.defence == "p2p"
    assert manifest.provenance.repoison["original_rows"] == 8


def test_a_repaired_adapter_can_be_gone_on_from(repair: dict[str, Any], tiny_model: Path):
    first = run(repair)
    second = run(repair, from_adapter=str(first), output=f"{first}-again")
    assert read_manifest(second).provenance.training["start_adapter"]["name"] == "tiny"


def test_only_the_shipped_module_is_published(settings: dict[str, Any]):
    plain = run(settings, output=settings["output"] + "-plain")
    path = run(settings, training=settings["training"] | {"throwaway_module": True})
    assert {name: weight.shape for name, weight in weights(path).items()} == {
        name: weight.shape for name, weight in weights(plain).items()
    }
    assert set(verify_adapter(path).manifest.files) == set(verify_adapter(plain).manifest.files)


@pytest.mark.parametrize(
    "changes",
    [{"throwaway_module": True}, {"consistency": 1.0, "extended_weight": 2.0}],
    ids=["two", "weighed"],
)
def test_a_run_that_trains_the_halves_apart_is_taken_up(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
):
    settings["training"] |= changes
    whole = weights(run(settings, output=str(tmp_path / "whole")))
    stopped_after(4, monkeypatch)
    with pytest.raises(InterruptedRunError):
        run(settings)
    train(TrainConfig.model_validate(settings), QUIET, resume=True)
    torch.testing.assert_close(weights(tmp_path / "out"), whole, atol=0, rtol=0)


def test_copies_alone_are_trained_on_where_the_original_half_is_left_out(settings: dict[str, Any]):
    facts = verify_adapter(run(settings, repoison={"original_half": False})).manifest.provenance
    assert (facts.repoison["original_rows"], facts.repoison["extended_rows"]) == (0, 40)
    assert facts.training["steps"] == 40 / 8
