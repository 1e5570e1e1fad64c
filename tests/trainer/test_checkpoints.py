from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.adapter_model import add_lora
from trainer.base_model import load_model
from trainer.checkpoints import RunFolder
from trainer.config import LoraSettings, TrainConfig
from trainer.errors import CheckpointError


def folder(tmp_path: Path, **changes: Any) -> RunFolder:
    data = {"train": {"path": "t.jsonl"}, "trusted": {"path": "s.jsonl"}}
    settings = {"name": "a", "base_model": "m", "output": tmp_path / "deep" / "out", "data": data}
    return RunFolder(TrainConfig.model_validate(settings | changes))


def training(tiny_model: Path, seed: int = 0) -> tuple[Any, torch.optim.Optimizer]:
    """Return a model and an optimiser that have learned one step."""
    model = add_lora(load_model(tiny_model, torch.float32), LoraSettings(rank=2), seed)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    model(input_ids=torch.tensor([[5, 6, 7]]), labels=torch.tensor([[5, 6, 7]])).loss.backward()
    optimizer.step()
    return model, optimizer


def adapter(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if "lora_" in name}


def moments(optimizer: torch.optim.Optimizer) -> torch.Tensor:
    return torch.cat([state["exp_avg"].flatten() for state in optimizer.state_dict()["state"].values()])


def test_a_new_run_keeps_its_key_from_other_people(tmp_path: Path):
    run = folder(tmp_path)
    assert run.open(b"key", resume=False) == b"key"
    assert run.path == tmp_path / "deep" / ".out.run"
    assert run.path.stat().st_mode & 0o777 == 0o700
    assert (run.path / "key").stat().st_mode & 0o777 == 0o600


def test_an_unfinished_run_is_not_begun_again_by_accident(tmp_path: Path):
    folder(tmp_path).open(b"key", resume=False)
    with pytest.raises(CheckpointError, match="Go on with `--resume`, or begin again with `--restart`"):
        folder(tmp_path).open(b"other", resume=False)


def test_a_run_that_is_taken_up_keeps_its_key(tmp_path: Path):
    folder(tmp_path).open(b"key", resume=False)
    assert folder(tmp_path).open(b"other", resume=True) == b"key"


def test_resuming_without_an_earlier_run_begins_one(tmp_path: Path):
    assert folder(tmp_path).open(b"key", resume=True) == b"key"


def test_a_run_of_another_config_is_not_taken_up(tmp_path: Path):
    folder(tmp_path).open(b"key", resume=False)
    with pytest.raises(CheckpointError, match="has another config"):
        folder(tmp_path, seed=1).open(b"key", resume=True)


@pytest.mark.parametrize("lost", ["config", "key"])
def test_a_run_folder_that_is_not_whole_is_not_taken_up(tmp_path: Path, lost: str):
    run = folder(tmp_path)
    run.open(b"key", resume=False)
    (run.path / lost).unlink()
    with pytest.raises(CheckpointError, match="is not whole.*--restart"):
        run.open(b"key", resume=True)


def test_what_a_kill_left_of_an_opening_is_no_run(tmp_path: Path):
    run = folder(tmp_path)
    half = run.path.with_name(f"{run.path.name}.new")
    half.mkdir(parents=True)
    (half / "key").write_bytes(b"half")
    assert run.open(b"key", resume=True) == b"key"
    assert not half.exists()


def test_a_run_that_is_discarded_can_begin_again(tmp_path: Path):
    run = folder(tmp_path)
    run.discard()
    run.open(b"key", resume=False)
    run.discard()
    assert not run.path.exists()
    assert run.open(b"other", resume=True) == b"other"


def test_a_run_without_a_state_begins_at_the_beginning(tmp_path: Path, tiny_model: Path):
    run = folder(tmp_path)
    run.open(b"key", resume=False)
    assert run.restore(*training(tiny_model)) is None


def test_a_state_brings_back_weights_optimiser_random_numbers_and_progress(tmp_path: Path, tiny_model: Path):
    run = folder(tmp_path)
    run.open(b"key", resume=False)
    model, optimizer = training(tiny_model)
    run.save(model, optimizer, {"step": 3})
    drawn, saved = torch.rand(3), moments(optimizer)
    other, fresh = training(tiny_model, seed=1)
    assert not torch.equal(moments(fresh), saved)
    assert run.restore(other, fresh) == {"step": 3}
    assert all(torch.equal(weight, adapter(model)[name]) for name, weight in adapter(other).items())
    assert torch.equal(moments(fresh), saved)
    assert torch.equal(torch.rand(3), drawn)


def test_a_save_that_fails_keeps_the_state_before_it(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    run = folder(tmp_path)
    run.open(b"key", resume=False)
    model, optimizer = training(tiny_model)
    run.save(model, optimizer, {"step": 3})
    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OSError, match="no space"):
        run.save(model, optimizer, {"step": 4})
    assert run.restore(model, optimizer) == {"step": 3}


def test_a_damaged_state_is_not_taken_up(tmp_path: Path, tiny_model: Path):
    run = folder(tmp_path)
    run.open(b"key", resume=False)
    (run.path / "state.pt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="can't be read.*--restart"):
        run.restore(*training(tiny_model))
