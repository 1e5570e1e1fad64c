"""The values on docs/kubernetes.md render, and its commands name what the chart makes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.chart import Chart, merged

PAGE = Path("docs/kubernetes.md").read_text()
BLOCKS = [
    re.sub(r"^ {3}", "", block, flags=re.MULTILINE) if block.startswith("   ") else block
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
]
ADDED = [block for block in BLOCKS if block.startswith("# added to values.yaml: ")]


def _base() -> dict[str, Any]:
    (found,) = [block for block in BLOCKS if block.startswith("# values.yaml\n")]
    values: dict[str, Any] = yaml.safe_load(found)
    return values


def test_every_block_says_what_it_is():
    assert len(BLOCKS) == len(ADDED) + 2
    assert len(ADDED) >= 5


def test_the_first_values_render(chart: Chart):
    rendered = chart.render(_base())
    assert rendered.ok, rendered.message


@pytest.mark.parametrize("block", ADDED, ids=lambda block: block.splitlines()[0].partition(": ")[2])
def test_what_is_added_renders(chart: Chart, block: str):
    rendered = chart.render(merged(_base(), yaml.safe_load(block)))
    assert rendered.ok, rendered.message


def test_the_training_renders(chart: Chart):
    (found,) = [block for block in BLOCKS if block.startswith("# training.yaml\n")]
    rendered = chart.render(yaml.safe_load(found))
    assert rendered.ok, rendered.message
    assert [document["kind"] for document in rendered.all("Job")] == ["Job"]


def test_every_setting_that_it_names_exists(chart: Chart):
    values = yaml.safe_load((chart.path / "values.yaml").read_text())
    named = {
        name for name in re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)+)`", PAGE) if name.split(".")[0] in values
    }
    assert len(named) > 10
    for name in sorted(named - {"policy.rollback"}):
        place: Any = values
        for part in name.split("."):
            assert part in place, name
            place = place[part]
