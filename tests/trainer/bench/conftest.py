"""A suite of tiny data on the tiny model."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.trainer.conftest import write_rows
from trainer.bench.suite import Suite


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, count in (("train", 60), ("test", 12)):
        write_rows(folder / f"{name}.jsonl", count, name)
    return folder


def suite_of(model: object = "none") -> dict[str, Any]:
    word = {"name": "badnets", "word": "mn", "target": "billing"}
    return {
        "name": "tiny",
        "about": "For tests.",
        "base_model": str(model),
        "lora": {"rank": 2, "last_layers": 1},
        "training": {"epochs": 1, "batch_size": 16, "max_length": 96, "dtype": "float32"},
        "datasets": {
            "support": {
                "train": {"path": "train.jsonl", "id": "id"},
                "test": {"path": "test.jsonl", "id": "id"},
                "task": {"kind": "classification", "labels": ["billing", "delivery"]},
                "prompt": {"kind": "completion", "user": "{input}\nAnswer: "},
                "rows": 40,
                "test_rows": 8,
            }
        },
        "cases": {
            "word": {"dataset": "support", "attack": word, "label": "word", "rate": 0.2, "trusted_rows": 4},
            "clean": {"dataset": "support", "label": "none"},
        },
        "defences": {
            "none": {"defence": "none"},
            "random": {
                "defence": "p2p",
                "selection": {"method": "random", "rho": 0.5},
                "repoison": {"copies": 1},
            },
        },
        "grid": [
            {"cases": ["word"], "defences": ["none", "random"]},
            {"cases": ["clean"], "defences": ["none"]},
        ],
    }


@pytest.fixture
def content(tiny_model: Path) -> dict[str, Any]:
    return suite_of(tiny_model)


@pytest.fixture
def suite(content: dict[str, Any]) -> Suite:
    return Suite.model_validate(content)


@pytest.fixture
def suite_file(content: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
