"""Helm on the chart, and what it renders."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CHART = Path("helm/p2p-guard")
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
HELMS = ("helm4", "helm3")


class Rendered(NamedTuple):
    """What ``helm template`` said.

    Attributes:
        ok: Whether it rendered.
        documents: The objects.
        message: Helm's own, where it did not.
    """

    ok: bool
    documents: list[dict[str, Any]]
    message: str

    def one(self, kind: str, name: str | None = None) -> dict[str, Any]:
        (found,) = self.all(kind, name)
        return found

    def all(self, kind: str, name: str | None = None) -> list[dict[str, Any]]:
        return [
            document
            for document in self.documents
            if document["kind"] == kind and name in (None, document["metadata"]["name"])
        ]


class Chart:
    """The chart at a path, with the tools to render it."""

    def __init__(self, path: Path, tools: Path) -> None:
        self.path = path
        self._tools = tools
        self._rendered: dict[str, Rendered] = {}

    def lint(self, case: str, helm: str) -> subprocess.CompletedProcess[str]:
        return self._run(helm, "lint", "--strict", str(self.path), "--values", str(self._case(case)))

    def render(
        self, values: dict[str, Any], helm: str = "helm4", *, kubernetes: str | None = None
    ) -> Rendered:
        text = json.dumps(values, sort_keys=True)
        key = f"{helm} {kubernetes} {text}"
        if key not in self._rendered:
            version = ["--kube-version", kubernetes] if kubernetes else []
            done = self._run(
                helm,
                "template",
                "r",
                str(self.path),
                "--namespace",
                "serving",
                "--values",
                "-",
                *version,
                text=text,
            )
            documents = [found for found in yaml.safe_load_all(done.stdout) if found]
            self._rendered[key] = Rendered(done.returncode == 0, documents, done.stderr)
        return copy.deepcopy(self._rendered[key])

    def case(self, name: str, helm: str = "helm4", **more: Any) -> Rendered:
        rendered = self.render(self.values(name), helm, **more)
        assert rendered.ok, rendered.message
        return rendered

    def values(self, case: str) -> dict[str, Any]:
        values: dict[str, Any] = yaml.safe_load(self._case(case).read_text())
        return values

    def _case(self, name: str) -> Path:
        return self.path / "ci" / f"{name}-values.yaml"

    def _run(self, helm: str, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._tools / helm), *command], input=text, capture_output=True, text=True, check=False
        )


def merged(values: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return values with a change laid over them, as helm lays one values file over another."""
    result = dict(values)
    for key, value in change.items():
        known = result.get(key)
        result[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def pod_of(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the pod that an object would start, with its metadata; None for objects that start none."""
    match document["kind"]:
        case "Pod":
            return document
        case "CronJob":
            return dict(document["spec"]["jobTemplate"]["spec"]["template"])
        case "Deployment" | "Job":
            return dict(document["spec"]["template"])
        case _:
            return None


def containers_of(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every container of a pod, those that run first among them."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
