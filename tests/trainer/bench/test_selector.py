"""What choosing S takes on the bench: apart from the frozen layers' states, which the training uses as well."""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.conftest import QUIET
from trainer.bench.grid import Grid
from trainer.bench.lab import BenchLab
from trainer.bench.results import CellResult
from trainer.bench.suite import Suite

STATES = 1000.0


@pytest.fixture
def slow_states(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the rows run ahead in no time, and say that they took long."""
    counted: list[int] = []

    def warm(_: BenchLab, __: object, texts: list[str]) -> float:
        counted.append(len(texts))
        return STATES

    monkeypatch.setattr(BenchLab, "warm", warm)
    return counted


def measured(content: dict[str, Any], data: Path, folder: Path, method: str) -> CellResult:
    content["defences"] = {
        "chosen": {
            "defence": "p2p",
            "trusted": False,
            "selection": {"method": method, "rho": 0.5},
            "repoison": {"copies": 1},
        }
    }
    content["grid"] = [{"cases": ["word"], "defences": ["chosen"]}]
    (found,) = Grid(Suite.model_validate(content), data, folder, QUIET).run()
    return found


def test_states_that_training_uses_are_the_training_s(
    content: dict[str, Any], data: Path, tmp_path: Path, slow_states: list[int]
):
    found = measured(content, data, tmp_path / "screened", "screened")
    assert slow_states == [40]
    assert found.selection is not None
    assert found.selection.shared_seconds == STATES
    # It took far less than a thousand seconds, which the whole cost has.
    assert found.selection.seconds < 0
    assert found.cost.seconds - found.selection.seconds > STATES


def test_rows_are_not_run_ahead_where_nobody_looks_at_them(
    content: dict[str, Any], data: Path, tmp_path: Path, slow_states: list[int]
):
    found = measured(content, data, tmp_path / "random", "random")
    assert slow_states == []
    assert found.selection is not None
    assert found.selection.shared_seconds == 0
