"""Two processes on Gloo, started as users start them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from p2p.manifest import verify_adapter
from tests.trainer.conftest import QUIET, make_settings
from trainer.config import TrainConfig
from trainer.recipe import train

CONFIGS = Path("trainer/configs/accelerate")


def write(folder: Path, settings: dict[str, Any]) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def launch(kind: str, config: Path, *more: str) -> "subprocess.Popen[str]":
    options = [
        "--config_file",
        str(CONFIGS / f"{kind}.yaml"),
        "--num_processes",
        "2",
        "--main_process_port",
        "0",
    ]
    command = [sys.executable, "-m", "accelerate.commands.launch", *options]
    return subprocess.Popen(
        [*command, "-m", "p2p_guard_cli", "train", str(config), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )


def settings_of(folder: Path, model: Path) -> dict[str, Any]:
    settings = make_settings(folder, model)
    # An odd number of rows a step, and a last step of one row: the shares are not equal. Dropout would be drawn twice.
    training = settings["training"] | {"batch_size": 29, "accumulation": 2, "dtype": "float32", "epochs": 2}
    training |= {"extended_weight": 3.0}
    return settings | {"training": training, "lora": {"rank": 4}}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    settings = settings_of(tmp_path_factory.mktemp("alone"), tiny_model)
    return train(TrainConfig.model_validate(settings), QUIET).path


@pytest.mark.parametrize("kind", ["processes", "fsdp"])
def test_two_processes_make_the_adapter_of_one(tmp_path: Path, tiny_model: Path, alone: Path, kind: str):
    process = launch(kind, write(tmp_path, settings_of(tmp_path, tiny_model)))
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    # The first process alone speaks.
    assert said.count("measuring on 16 test rows") == 1
    found, wanted = (load_file(path / "adapter_model.safetensors") for path in (tmp_path / "out", alone))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    facts, expected = (
        verify_adapter(path).manifest.provenance.training for path in (tmp_path / "out", alone)
    )
    assert facts["tokens"] == expected["tokens"]
    assert (facts["processes"], expected["processes"]) == (2, 1)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_two_processes_throw_away_the_same_module(tmp_path: Path, tiny_model: Path):
    settings = settings_of(tmp_path, tiny_model)
    # Steps of two rows: a process often has none of a half.
    settings["training"] |= {"throwaway_module": True, "batch_size": 2, "epochs": 1}
    wanted = train(TrainConfig.model_validate(settings | {"output": str(tmp_path / "alone")}), QUIET).path
    process = launch("processes", write(tmp_path, settings))
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    found, expected = (load_file(path / "adapter_model.safetensors") for path in (tmp_path / "out", wanted))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["processes", "fsdp"])
def test_two_processes_that_were_stopped_go_on(tmp_path: Path, tiny_model: Path, kind: str):
    slow = settings_of(tmp_path, tiny_model)
    slow["training"] |= {"epochs": 8, "batch_size": 8, "checkpoint_minutes": 0.0005}
    whole = train(TrainConfig.model_validate(slow | {"output": str(tmp_path / "whole")}), QUIET).path
    config = write(tmp_path, slow)
    process = launch(kind, config)
    state = tmp_path / ".out.run" / "state.pt"
    deadline = time.monotonic() + 240
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert "nothing is lost" in said
    assert process.returncode != 0
    assert not (tmp_path / "out").exists()
    process = launch(kind, config, "--resume")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    found, wanted = (load_file(path / "adapter_model.safetensors") for path in (tmp_path / "out", whole))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
