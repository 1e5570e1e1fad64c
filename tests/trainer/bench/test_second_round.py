"""First adapters on the bench: trained in the lab, kept for other cells, and counted in what the cell costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2p.examples import Example
from tests.trainer.conftest import QUIET
from trainer.answering import Answerer
from trainer.bench.grid import Grid
from trainer.bench.results import CellResult
from trainer.bench.suite import Suite
from trainer.selection.second_round import Views


@pytest.fixture
def grid(content: dict[str, Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    def believe(_: Answerer, asked: Sequence[Example]) -> Views:
        labels = np.array([[row.answer == "billing", row.answer == "delivery"] for row in asked], dtype=float)
        return Views(labels, labels)

    monkeypatch.setattr("trainer.bench.second_round.both_views", believe)
    once: dict[str, Any] = {
        "defence": "p2p",
        "trusted": False,
        "selection": {"method": "screened", "rho": 0.5},
        "repoison": {"copies": 1},
    }
    again = {"second_round": {"epochs": 1}}
    content["defences"] |= {"once": once, "twice": once | {"selection": once["selection"] | again}}
    content["grid"] = [{"cases": ["clean"], "defences": ["once", "twice"]}]
    return Grid(Suite.model_validate(content), data, tmp_path / "results", QUIET)


def by_defence(grid: Grid) -> dict[str, CellResult]:
    found = grid.run()
    assert grid.failed == []
    return dict(zip(("once", "twice"), found, strict=True))


def test_a_cell_with_a_second_round_costs_the_tokens_of_its_first_adapters(grid: Grid):
    found = by_defence(grid)
    # Each learns 40 rows and half of the copies beside them; the final one learns all.
    assert 2 < found["twice"].cost.tokens / found["once"].cost.tokens < 3
    assert found["twice"].details["second_round_suspects"] == 0
    assert "second_round_suspects" not in found["once"].details
    assert found["twice"].selection is not None
    assert found["twice"].selection.seconds > 0


def test_first_adapters_are_kept_beside_the_final_ones(grid: Grid, tmp_path: Path):
    by_defence(grid)
    kept = list((tmp_path / "results" / "adapters").glob("*.safetensors"))
    assert len(kept) >= 3
