"""Every pod of every shape passes Pod Security `restricted`; the check is shown to find what it must."""

from typing import Any

import pytest

from tests.helm.chart import CASES, Chart, pod_of
from tests.helm.pod_security import beyond, violations

SAFE: dict[str, Any] = {
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "a",
            "image": "example.com:5000/a:1",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "resources": {"limits": {"memory": "1Gi"}},
        }
    ],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}

UNSAFE_PODS: dict[str, dict[str, Any]] = {
    "host network": {"hostNetwork": True},
    "host path": {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
    "image volume": {"volumes": [{"name": "model", "image": {"reference": "a"}}]},
    "user 0": {
        "securityContext": {
            "runAsUser": 0,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    },
    "no seccomp": {"securityContext": {"runAsNonRoot": True}},
    "unconfined": {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "Unconfined"}}},
    "may be root": {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
    "sysctl": {
        "securityContext": SAFE["securityContext"] | {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}
    },
}

UNSAFE_CONTAINERS: dict[str, dict[str, Any]] = {
    "escalation": {"allowPrivilegeEscalation": True, "capabilities": {"drop": ["ALL"]}},
    "capabilities kept": {"allowPrivilegeEscalation": False},
    "capability added": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]},
    },
    "privileged": {
        "allowPrivilegeEscalation": False,
        "privileged": True,
        "capabilities": {"drop": ["ALL"]},
    },
}


def test_a_safe_pod_passes():
    assert violations(SAFE) == beyond(SAFE) == []


@pytest.mark.parametrize("name", UNSAFE_PODS)
def test_an_unsafe_pod_is_found(name: str):
    assert violations(SAFE | UNSAFE_PODS[name])


@pytest.mark.parametrize("name", UNSAFE_CONTAINERS)
@pytest.mark.parametrize("place", ["containers", "initContainers"])
def test_an_unsafe_container_is_found(name: str, place: str):
    unsafe = SAFE["containers"][0] | {"securityContext": UNSAFE_CONTAINERS[name]}
    assert violations(SAFE | {place: [unsafe]})


@pytest.mark.parametrize("case", CASES)
def test_every_pod_is_restricted(chart: Chart, case: str):
    pods = [pod for document in chart.case(case).documents if (pod := pod_of(document))]
    assert pods
    for pod in pods:
        assert violations(pod["spec"]) == []


@pytest.mark.parametrize("case", CASES)
def test_no_pod_has_a_token_or_a_writable_root(chart: Chart, case: str):
    for document in chart.case(case).documents:
        if pod := pod_of(document):
            assert [fault for fault in beyond(pod["spec"]) if "memory" not in fault] == []


def test_secrets_reach_the_guard_as_files_alone(chart: Chart):
    """The engine's child inherits the guard's environment, and must not find the users' keys there."""
    pod = pod_of(chart.case("everything").one("Deployment", "r-guard"))
    assert pod is not None
    (guard,) = pod["spec"]["containers"]
    assert [env["name"] for env in guard["env"] if "valueFrom" in env] == []
