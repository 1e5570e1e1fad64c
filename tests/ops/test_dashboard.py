"""The dashboard as a file: up to date, well placed, and naming metrics that there are."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.write_dashboard import SECTIONS, dashboard
from tests.ops.names import known, named

DASHBOARD = Path("helm/p2p-guard/files/dashboard.json")


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel.get("targets", [])]


def test_the_file_is_up_to_date():
    assert DASHBOARD.read_text() == dashboard(), "run scripts/write_dashboard.py"


def test_safety_comes_first():
    assert [section.title for section in SECTIONS] == ["Safety", "Traffic", "Latency", "Engine"]


def test_panels_do_not_overlap_and_ids_differ():
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("title", "expr"), queries())
def test_every_metric_that_a_panel_reads_exists(title: str, expr: str):
    assert named(expr)
    assert named(expr) <= known().keys()


def test_every_metric_of_safety_is_on_it():
    shown = {name for _, expr in queries() for name in named(expr)}
    figures = {
        "attack_success_ratio",
        "attack_success_lower_ratio",
        "floor_ratio",
        "clean_accuracy_ratio",
        "extension_ratio",
    }
    assert {f"p2p_probe_{name}" for name in figures} <= shown
