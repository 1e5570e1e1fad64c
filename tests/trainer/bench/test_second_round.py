"""First adapters on the bench: trained in the lab, kept for other cells, and counted in what the cell costs."""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.conftest import QUIET
from trainer.bench.grid import Grid
from trainer.bench.results import CellResult
from trainer.bench.suite import Suite


@pytest.fixture
def grid(content: dict[str, Any], data: Path, tmp_path: Path) -> Grid:
    once: dict[str, Any] = {
        "defence": "p2p",
        "trusted": False,
        "selection": {"method": "screened", "rho": 0.5},
        "repoison": {"copies": 1},
    }
    again = {"second_round": {"epochs": 1, "believed": 0}}
    content["defences"] |= {"once": once, "twice": once | {"selection": once["selection"] | again}}
    content["grid"] = [{"cases": ["clean"], "defences": ["once", "twice"]}]
    content["training"]["learning_rate"] = 0.03
    return Grid(Suite.model_validate(content), data, tmp_path / "results", QUIET)


def by_defence(grid: Grid) -> dict[str, CellResult]:
    found = grid.run()
    assert grid.failed == []
    return dict(zip(("once", "twice"), found, strict=True))


def test_a_cell_with_a_second_round_costs_the_tokens_of_its_first_adapters(grid: Grid):
    found = by_defence(grid)
    # Each learns 40 rows and half of the copies beside them; the final one learns all.
    assert 2 < found["twice"].cost.tokens / found["once"].cost.tokens < 3
    assert found["twice"].selection is not None
    assert found["twice"].selection.seconds > 0


def test_first_adapters_are_kept_beside_the_final_ones(grid: Grid, tmp_path: Path):
    by_defence(grid)
    kept = list((tmp_path / "results" / "adapters").glob("*.safetensors"))
    assert len(kept) >= 3
