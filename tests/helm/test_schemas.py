"""Every object is valid against each Kubernetes from 1.28 on, unknown keys refused, and custom ones against their own schemas."""

import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from scripts.fetch_ops_tools import fetch, node
from tests.helm.chart import CASES, Chart

OLDEST = 28
NEWEST = int(kubernetes_validate.latest_version().split(".")[1])
VERSIONS = [f"1.{minor}" for minor in range(OLDEST, NEWEST + 1)]
CUSTOM = {"gateway.networking.k8s.io", "keda.sh", "monitoring.coreos.com"}
VALIDATOR = Path(__file__).parent / "crds" / "validate.mjs"

Validate = Callable[[list[dict[str, Any]]], list[str]]


@pytest.fixture(scope="module", autouse=True)
def _schemas_are_read_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


@pytest.mark.parametrize("version", VERSIONS)
def test_is_valid_kubernetes(chart: Chart, version: str):
    objects = _objects(chart, version)
    assert len(objects) > 40
    for document in objects:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_an_unknown_key_is_found(chart: Chart, version: str):
    document = chart.case("child").one("Deployment")
    document["spec"]["template"]["spec"]["containers"][0]["comand"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="comand"):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.fixture(scope="module")
def faults_of(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Validate:
    """What the custom resources' own schemas find wrong, one message a fault."""
    installed = fetch("crds")

    def ask(documents: list[dict[str, Any]]) -> list[str]:
        home = tmp_path_factory.mktemp("crds")
        (home / "documents.json").write_text(json.dumps(documents))
        (home / "node_modules").symlink_to(installed / "node_modules")
        command = [str(node()), str(VALIDATOR), str(home)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        faults: list[str] = json.loads(done.stdout)
        return faults

    return ask


def test_custom_resources_are_valid(chart: Chart, faults_of: Validate):
    custom = _custom(chart)
    kinds = {document["kind"] for document in custom}
    assert kinds == {"HTTPRoute", "PodMonitor", "PrometheusRule", "ScaledObject", "ServiceMonitor"}
    assert faults_of(custom) == []


def test_faults_of_custom_resources_are_found(chart: Chart, faults_of: Validate):
    route = chart.case("everything").one("HTTPRoute")
    route["spec"]["rules"][0]["backendRefs"][0]["prot"] = 1
    scaled = chart.case("everything").one("ScaledObject")
    scaled["spec"]["maxReplicaCount"] = "many"
    monitor = chart.case("everything").one("ServiceMonitor")
    monitor["spec"]["endpoint"] = []
    found = faults_of([route, scaled, monitor])
    assert any("prot" in fault for fault in found)
    assert any("maxReplicaCount" in fault for fault in found)
    assert any("endpoint" in fault for fault in found)


def _group(document: dict[str, Any]) -> str:
    return str(document["apiVersion"]).split("/")[0]


def _custom(chart: Chart) -> list[dict[str, Any]]:
    return [each for case in CASES for each in chart.case(case).documents if _group(each) in CUSTOM]


def _objects(chart: Chart, version: str) -> list[dict[str, Any]]:
    """Return what the cases render for this Kubernetes, each object once, custom resources left out."""
    # The templates look at the version for one thing, which came with 1.29.
    shown = "1.28.0" if version == "1.28" else f"1.{NEWEST}.0"
    found = (each for case in CASES for each in chart.case(case, kubernetes=shown).documents)
    once = {json.dumps(each, sort_keys=True): each for each in found}
    return [each for each in once.values() if _group(each) not in CUSTOM]
