"""Who reaches what: only the guard the engine, only the named ones the guard, and nobody from outside the admin listener."""

from typing import Any

import pytest

from tests.helm.chart import CASES, Chart, Rendered, merged, pod_of

GUARD, METRICS, ADMIN = 8000, 9090, 8001
POLICED = [case for case in CASES if case != "off"]


def _labels(rendered: Rendered, component: str) -> dict[str, str]:
    pods = (pod for document in rendered.documents if (pod := pod_of(document)))
    found = (pod["metadata"]["labels"] for pod in pods)
    return next(dict(each) for each in found if each["app.kubernetes.io/component"] == component)


def _selects(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    if selector is None:
        return False
    wanted = selector.get("matchLabels", {})
    among = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in among)
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(each["key"]) in each["values"] for each in among
    )


def _policy(rendered: Rendered, labels: dict[str, str]) -> dict[str, Any]:
    (found,) = [
        policy for policy in rendered.all("NetworkPolicy") if _selects(policy["spec"]["podSelector"], labels)
    ]
    return dict(found["spec"])


def _may_enter(policy: dict[str, Any], port: int, labels: dict[str, str], namespace: str = "serving") -> bool:
    def admits(peer: dict[str, Any]) -> bool:
        if "ipBlock" in peer:
            return False
        place = peer.get("namespaceSelector")
        here = (
            _selects(place, {"kubernetes.io/metadata.name": namespace}) if place else namespace == "serving"
        )
        return here and ("podSelector" not in peer or _selects(peer["podSelector"], labels))

    return any(
        port in [each["port"] for each in rule["ports"]] and any(map(admits, rule["from"]))
        for rule in policy.get("ingress", [])
    )


@pytest.mark.parametrize("case", POLICED)
def test_every_pod_has_one_policy_for_both_directions(chart: Chart, case: str):
    rendered = chart.case(case)
    for document in rendered.documents:
        if pod := pod_of(document):
            assert _policy(rendered, pod["metadata"]["labels"])["policyTypes"] == ["Ingress", "Egress"]


def test_nobody_but_prober_and_test_asks_a_guard_without_clients(chart: Chart):
    rendered = chart.case("cronjob")
    policy = _policy(rendered, _labels(rendered, "guard"))
    assert _may_enter(policy, GUARD, _labels(rendered, "prober"))
    assert _may_enter(policy, GUARD, _labels(rendered, "test"))
    assert not _may_enter(policy, GUARD, {"app": "anything"})
    assert not _may_enter(policy, GUARD, _labels(rendered, "prober"), "elsewhere")
    assert not _may_enter(policy, METRICS, {"app": "prometheus"}, "monitoring")


@pytest.mark.parametrize(
    ("port", "labels", "namespace", "may"),
    [
        (GUARD, {"app": "web"}, "ingress-nginx", True),
        (GUARD, {"app": "web"}, "elsewhere", False),
        (METRICS, {"app": "prometheus"}, "monitoring", True),
        (METRICS, {"app": "web"}, "ingress-nginx", False),
        (ADMIN, {"app": "ops-shell"}, "serving", True),
        (ADMIN, {"app": "ops-shell"}, "elsewhere", False),
        (ADMIN, {"app": "web"}, "ingress-nginx", False),
        (ADMIN, {"app": "prometheus"}, "monitoring", False),
        (GUARD, {"app": "ops-shell"}, "serving", False),
    ],
)
def test_only_the_named_reach_a_port(
    chart: Chart, port: int, labels: dict[str, str], namespace: str, may: bool
):
    rendered = chart.case("everything")
    assert _may_enter(_policy(rendered, _labels(rendered, "guard")), port, labels, namespace) is may


def test_the_prober_does_not_reach_admin_or_metrics(chart: Chart):
    rendered = chart.case("everything")
    policy = _policy(rendered, _labels(rendered, "guard"))
    prober = _labels(rendered, "prober")
    assert [_may_enter(policy, port, prober) for port in (GUARD, METRICS, ADMIN)] == [True, False, False]


def test_only_the_guard_reaches_a_remote_engine(chart: Chart):
    rendered = chart.case("remote")
    policy = rendered.one("NetworkPolicy", "r-p2p-guard-engine")
    assert policy["metadata"]["namespace"] == "models"
    assert _selects(policy["spec"]["podSelector"], {"app": "vllm", "pod-template-hash": "1"})
    guard = _labels(rendered, "guard")
    assert _may_enter(policy["spec"], 8000, guard)
    assert not _may_enter(policy["spec"], 8000, guard, "models")
    assert not _may_enter(policy["spec"], 8000, {"app": "vllm"}, "models")
    assert not _may_enter(policy["spec"], 8000, _labels(rendered, "test"))


@pytest.mark.parametrize("case", ["child", "sidecar"])
def test_an_engine_in_the_pod_has_no_port(chart: Chart, case: str):
    pod = pod_of(chart.case(case).one("Deployment"))
    assert pod is not None
    containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    ports = {port["containerPort"] for container in containers for port in container.get("ports", [])}
    assert ports == {GUARD, METRICS}
    for engine in (each for each in containers if each["name"] == "engine"):
        assert not {"--host", "--port"} & set(engine["args"])


def test_only_guard_and_engine_mount_the_socket(chart: Chart):
    values = merged(chart.values("sidecar"), {"adapterStore": {"fetch": {"enabled": True}}})
    pod = pod_of(chart.render(values).one("Deployment"))
    assert pod is not None
    mounted = {
        container["name"]
        for container in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
        if any(mount["name"] == "engine-socket" for mount in container["volumeMounts"])
    }
    assert mounted == {"engine", "guard"}


def test_the_way_in_from_outside_ends_at_the_users_port(chart: Chart):
    rendered = chart.case("everything")
    outside = rendered.one("Service", "r-guard")
    assert [port["targetPort"] for port in outside["spec"]["ports"]] == ["http"]
    assert {each["spec"]["type"] for each in rendered.all("Service")} - {"LoadBalancer"} == {"ClusterIP"}
    (rule,) = rendered.one("Ingress")["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/v1"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "r-guard", "port": {"name": "http"}}
    (route,) = rendered.one("HTTPRoute")["spec"]["rules"]
    assert [(each["name"], each["port"]) for each in route["backendRefs"]] == [("r-guard", 8000)]


def test_prompts_never_go_through_a_proxy(chart: Chart):
    values = merged(chart.values("remote"), {"proxy": {"https": "http://proxy.example.com:3128"}})
    (guard,) = chart.render(values).one("Deployment")["spec"]["template"]["spec"]["containers"]
    environment = {env["name"]: env.get("value", "") for env in guard["env"]}
    assert environment["NO_PROXY"] == environment["no_proxy"]
    assert {"localhost", "127.0.0.1", "vllm.models.svc"} <= set(environment["NO_PROXY"].split(","))
