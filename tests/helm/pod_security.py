"""The Pod Security Standard `restricted` as a function, and what this chart asks of a pod beyond it.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (baseline and restricted, Kubernetes 1.37).
"""

from collections.abc import Iterator
from typing import Any

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SECCOMP = {"RuntimeDefault", "Localhost"}
_HOST_SHARING = ("hostNetwork", "hostPID", "hostIPC")
_HANDLERS = ("httpGet", "tcpSocket")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def violations(spec: dict[str, Any]) -> list[str]:
    """Return what the standard's admission would refuse in a pod's spec."""
    return [*_of_pod(spec), *(fault for each in _containers(spec) for fault in _of_container(each, spec))]


def beyond(spec: dict[str, Any]) -> list[str]:
    """Return what the standard allows and this chart does not."""
    faults = []
    if spec.get("automountServiceAccountToken") is not False:
        faults.append("a service account's token is mounted")
    if spec.get("enableServiceLinks") is not False:
        faults.append("other Services are told by the environment")
    for container in _containers(spec):
        name = container["name"]
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            faults.append(f"{name}: the root file system can be written to")
        if "memory" not in container.get("resources", {}).get("limits", {}):
            faults.append(f"{name}: no limit of memory")
        if ":latest" in container["image"] or not set(":@") & set(container["image"].rsplit("/", 1)[-1]):
            faults.append(f"{name}: no version of the image")
    return faults


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *spec.get("initContainers", []),
        *spec.get("containers", []),
        *spec.get("ephemeralContainers", []),
    ]


def _of_pod(spec: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name} is on" for name in _HOST_SHARING if spec.get(name))
    for volume in spec.get("volumes", []):
        if not set(volume) & _VOLUMES:
            yield f"volume {volume['name']} is of a forbidden type"
    context = spec.get("securityContext", {})
    yield from (f"pod: {fault}" for fault in _of_ids(context))
    if context.get("sysctls"):
        yield "sysctls are set"
    if context.get("seLinuxOptions", {}).get("user") or context.get("seLinuxOptions", {}).get("role"):
        yield "an SELinux user or role is set"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "a host process is asked for"


def _of_container(container: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    name, context, pod = (
        container["name"],
        container.get("securityContext", {}),
        spec.get("securityContext", {}),
    )
    yield from (f"{name}: {fault}" for fault in _of_ids(context))
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: privileges can be raised"
    if context.get("privileged"):
        yield f"{name}: privileged"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name}: not all capabilities are dropped"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities are added"
    if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield f"{name}: may run as root"
    if context.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in _SECCOMP:
        yield f"{name}: no seccomp profile"
    if context.get("procMount", "Default") != "Default":
        yield f"{name}: /proc is unmasked"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name}: a port of the host is taken"
    yield from (f"{name}: {fault}" for fault in _of_handlers(container))


def _of_ids(context: dict[str, Any]) -> Iterator[str]:
    if context.get("runAsUser") == 0:
        yield "runs as user 0"
    if context.get("runAsNonRoot") is False:
        yield "runAsNonRoot is false"
    if context.get("seccompProfile", {}).get("type", "RuntimeDefault") not in _SECCOMP:
        yield "seccomp is off"


def _of_handlers(container: dict[str, Any]) -> Iterator[str]:
    hooks = container.get("lifecycle", {})
    handlers = [*(container.get(name, {}) for name in _PROBES), *hooks.values()]
    if any("host" in handler.get(kind, {}) for handler in handlers for kind in _HANDLERS):
        yield "a probe or hook names a host"
