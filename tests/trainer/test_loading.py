import shutil
from pathlib import Path

import pytest

from p2p.attacks.badnets import BadNets
from p2p.errors import BaseModelMismatchError, DigestMismatchError, ManifestMissingError
from p2p.manifest import read_manifest
from trainer.config import DataSource
from trainer.datasets import read_examples
from trainer.errors import BaseModelError
from trainer.evaluations import evaluate
from trainer.loading import load_answerer


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "copy")


def test_a_published_adapter_measures_as_it_did_in_training(trained: Path, tiny_model: Path):
    rows = read_examples(DataSource(path=str(trained.parent / "test.jsonl"), id="id"))
    attack = BadNets(word="mn", target="billing")
    found = evaluate(load_answerer(trained, str(tiny_model)), rows, [attack], seed=7).as_json()
    assert found == read_manifest(trained).evaluation


def test_a_changed_file_is_refused(copy: Path, tiny_model: Path):
    with (copy / "adapter_model.safetensors").open("ab") as weights:
        weights.write(b"x")
    with pytest.raises(DigestMismatchError, match="adapter_model.safetensors"):
        load_answerer(copy, str(tiny_model))


def test_a_directory_without_a_manifest_is_refused(tmp_path: Path, tiny_model: Path):
    with pytest.raises(ManifestMissingError):
        load_answerer(tmp_path, str(tiny_model))


def test_another_base_model_is_refused(trained: Path, tiny_model: Path, tmp_path: Path):
    other = shutil.copytree(tiny_model, tmp_path / "other")
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    with pytest.raises(BaseModelMismatchError):
        load_answerer(trained, str(other))


def test_a_base_model_that_is_not_there_is_named(trained: Path, tmp_path: Path):
    with pytest.raises(BaseModelError, match="no model at '.*missing'"):
        load_answerer(trained, str(tmp_path / "missing"))
