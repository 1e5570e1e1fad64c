"""Every shape lints and renders on both helms, into the same objects."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.chart import CASES, HELMS, Chart

GOLDEN = Path(__file__).parent / "golden"
# Checked by promtool and a real Grafana's queries elsewhere; here only that the chart carries them.
CARRIED = ("PrometheusRule", "r-guard-dashboard")


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("case", CASES)
def test_lints_strictly(chart: Chart, case: str, helm: str):
    done = chart.lint(case, helm)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("case", CASES)
def test_both_helms_render_the_same(chart: Chart, case: str):
    assert _in_order(chart.case(case, "helm4").documents) == _in_order(chart.case(case, "helm3").documents)


@pytest.mark.parametrize("case", CASES)
def test_is_what_was_reviewed(chart: Chart, case: str):
    """Set P2P_GUARD_UPDATE_GOLDEN=1 to write the files anew, and review their difference."""
    found = _in_order(chart.case(case).documents)
    text = yaml.safe_dump_all(map(_without_carried, found), sort_keys=True, width=120)
    golden = GOLDEN / f"{case}.yaml"
    if os.environ.get("P2P_GUARD_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text


def test_no_golden_file_is_left_over():
    assert sorted(path.stem for path in GOLDEN.iterdir()) == CASES


def test_names_stay_within_63_characters(chart: Chart):
    values = chart.values("everything") | {"fullnameOverride": "a" * 40}
    rendered = chart.render(values)
    assert rendered.ok, rendered.message
    assert max(len(document["metadata"]["name"]) for document in rendered.documents) <= 63


def test_every_object_says_what_it_is_part_of(chart: Chart):
    for document in chart.case("everything").documents:
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "r"
        assert labels["team"] == "platform"


def _in_order(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(documents, key=lambda found: (found["kind"], found["metadata"]["name"]))


def _without_carried(document: dict[str, Any]) -> dict[str, Any]:
    if document["kind"] in CARRIED:
        return document | {"spec": "files/rules.yaml"}
    if document["metadata"]["name"] in CARRIED:
        return document | {"data": "files/dashboard.json"}
    return document
