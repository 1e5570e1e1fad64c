"""The chart, rendered by the real helm 4 and helm 3."""

import shutil
from pathlib import Path

import pytest

from scripts.fetch_ops_tools import TOOLS, fetch
from tests.helm.chart import CHART, Chart

# For a checkout whose rules and dashboard are not there yet.
STAND_INS = {
    "rules.yaml": "groups:\n  - name: p2p-guard\n    rules:\n      - {alert: Down, expr: up == 0, annotations: {summary: '{{ $labels.pod }}'}}\n",
    "dashboard.json": '{"title": "p2p-guard", "panels": []}\n',
}


@pytest.fixture(scope="session")
def tools() -> Path:
    TOOLS.mkdir(exist_ok=True)
    for name in ("helm4", "helm3", "hadolint"):
        fetch(name)
    return TOOLS


@pytest.fixture(scope="session")
def chart(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """A copy of the chart, for tests never write into the checkout."""
    copied = tmp_path_factory.mktemp("chart") / CHART.name
    shutil.copytree(CHART, copied)
    (copied / "files").mkdir(exist_ok=True)
    for name, content in STAND_INS.items():
        if not (copied / "files" / name).exists():
            (copied / "files" / name).write_text(content)
    return Chart(copied, tools)
