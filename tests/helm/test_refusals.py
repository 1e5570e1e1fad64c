"""Values that would not do are refused before anything reaches a cluster, in a sentence that says what to do."""

from typing import Any

import pytest

from tests.helm.chart import HELMS, Chart, merged

# The case that is changed, the change, and what the message must say.
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "wrong type": ("child", {"guard": {"replicas": "two"}}, "replicas"),
    "unknown key": ("child", {"guard": {"replica": 2}}, "replica"),
    "unknown top-level key": ("child", {"gaurd": {}}, "gaurd"),
    "unknown engine mode": ("child", {"engine": {"mode": "none"}}, "mode"),
    "no key": ("child", {"auth": {"existingSecret": ""}}, "auth.existingSecret"),
    "two sources of keys": ("child", {"auth": {"keys": ["k" * 20]}}, "exclude each other"),
    "short key": ("off", {"auth": {"keys": ["short"]}}, "keys"),
    "admin without keys": ("child", {"admin": {"enabled": True}}, "admin.existingSecret"),
    "admin with the users' keys": (
        "child",
        {"admin": {"enabled": True, "existingSecret": "p2p-guard-keys", "key": "api-keys"}},
        "must not open the admin API",
    ),
    "admin with a user's key": (
        "off",
        {"admin": {"enabled": True, "keys": ["a-trial-key-of-some-length"]}},
        "must not open the admin API",
    ),
    "probers with the users' keys": (
        "everything",
        {"auth": {"probes": {"key": "users"}}},
        "must not pass for a prober's",
    ),
    "admin behind a load balancer": (
        "everything",
        {"admin": {"service": {"type": "LoadBalancer"}}},
        "service",
    ),
    "admin on an ingress": ("everything", {"ingress": {"servicePort": "admin"}}, "servicePort"),
    "admin path on an ingress": ("everything", {"ingress": {"paths": ["/admin"]}}, "paths"),
    "status page on an ingress": ("everything", {"ingress": {"paths": ["/ui"]}}, "paths"),
    "admin on an HTTPRoute": ("everything", {"httpRoute": {"backendPort": 8001}}, "backendPort"),
    "admin port on the users' service": (
        "everything",
        {"guard": {"service": {"targetPort": "admin"}}},
        "targetPort",
    ),
    "admin on the users' port": ("everything", {"admin": {"port": 8000}}, "must differ"),
    "admin on the metrics port": ("everything", {"admin": {"port": 9090}}, "must differ"),
    "admin listener in config": ("child", {"config": {"admin": {"listen": "0.0.0.0:8000"}}}, "admin"),
    "anonymous access": ("child", {"config": {"auth": {"allow_anonymous": True}}}, "auth"),
    "open metrics": ("child", {"config": {"metrics_auth": False}}, "metrics_auth"),
    "unguarded serving": ("child", {"config": {"unsafe_allow_unguarded": True}}, "unsafe_allow_unguarded"),
    "unguarded serving by argument": (
        "child",
        {"guard": {"extraArgs": ["--unsafe-allow-unguarded"]}},
        "extraArgs",
    ),
    "unguarded adapter": (
        "child",
        {"adapters": [{"name": "a", "path": "a", "unguarded": True}]},
        "adapters",
    ),
    "no adapter": ("child", {"adapters": []}, "at least one adapter"),
    "adapter from nowhere": ("child", {"adapters": [{"name": "a"}]}, "adapters"),
    "adapter from two places": (
        "child",
        {"adapters": [{"name": "a", "path": "a", "source": "s3://a"}]},
        "adapters",
    ),
    "adapter without a store": ("child", {"adapterStore": {"existingClaim": ""}}, "adapterStore needs"),
    "no model": ("child", {"model": {"existingClaim": ""}}, "exactly one of"),
    "model from two places": ("child", {"model": {"volume": {"csi": {"driver": "d"}}}}, "exactly one of"),
    "model without a name": ("child", {"model": {"name": ""}}, "model.name"),
    "host path": (
        "child",
        {"model": {"existingClaim": "", "volume": {"hostPath": {"path": "/"}}}},
        "hostPath",
    ),
    "host path by the side": (
        "child",
        {"guard": {"pod": {"extraVolumes": [{"name": "root", "hostPath": {"path": "/"}}]}}},
        "hostPath",
    ),
    "root": ("child", {"securityContext": {"runAsUser": 0}}, "runAsUser"),
    "looser security": ("child", {"securityContext": {"privileged": True}}, "privileged"),
    "latest image": ("child", {"guard": {"image": {"tag": "latest"}}}, "tag"),
    "short digest": ("child", {"guard": {"image": {"digest": "sha256:12"}}}, "digest"),
    "init image without a version": (
        "remote",
        {"adapterStore": {"fetch": {"image": {"tag": ""}}}},
        "needs a tag or a digest",
    ),
    "remote without a URL": ("remote", {"engine": {"remote": {"urls": []}}}, "engine.remote.urls"),
    "remote URL with a path": ("remote", {"engine": {"remote": {"urls": ["http://vllm/v1"]}}}, "urls"),
    "remote that anybody reaches": (
        "remote",
        {"engine": {"remote": {"podSelector": None}}},
        "goes round the guard",
    ),
    "URL for a child": (
        "child",
        {"engine": {"remote": {"urls": ["http://vllm:8000"]}}},
        "engine.mode is child",
    ),
    "URL by the settings": ("child", {"engine": {"settings": {"url": "http://vllm:8000"}}}, "url"),
    "engine on a port": ("sidecar", {"engine": {"sidecar": {"extraArgs": ["--port=8000"]}}}, "extraArgs"),
    "ingress that the policy closes": (
        "everything",
        {"networkPolicy": {"clients": []}},
        "networkPolicy.clients",
    ),
    "ingress without a host": ("everything", {"ingress": {"hosts": []}}, "ingress.hosts"),
    "route without a gateway": ("everything", {"httpRoute": {"parentRefs": []}}, "httpRoute.parentRefs"),
    "two scalers": ("everything", {"autoscaling": {"hpa": {"enabled": True}}}, "fight over"),
    "KEDA without a Prometheus": (
        "everything",
        {"autoscaling": {"keda": {"prometheus": ""}}},
        "keda.prometheus",
    ),
    "scaler upside down": (
        "hpa",
        {"autoscaling": {"hpa": {"minReplicas": 11}}},
        "minReplicas is above maxReplicas",
    ),
    "two monitors": (
        "everything",
        {"metrics": {"podMonitor": {"enabled": True}}},
        "count every sample twice",
    ),
    "monitor without metrics": ("hpa", {"metrics": {"enabled": False}}, "needs the metrics listener"),
    "prober without a set": ("cronjob", {"prober": {"sets": []}}, "prober.sets"),
    "prober without a key": ("cronjob", {"prober": {"existingSecret": ""}}, "prober.existingSecret"),
    "prober of nothing": ("prober", {"prober": {"url": ""}}, "prober.url"),
    "set without cases": ("cronjob", {"prober": {"sets": [{"name": "a", "model": "a"}]}}, "needs a canary"),
    "trainer without a config": ("trainer", {"trainer": {"config": None}}, "trainer.config"),
    "trainer without an output": ("trainer", {"trainer": {"output": {"existingClaim": ""}}}, "would be lost"),
    "upload with nothing": ("upload", {"trainer": {"upload": {"image": {"repository": ""}}}}, "upload.image"),
    "two CAs": ("everything", {"internalCA": {"secret": "ca"}}, "not both"),
}


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(chart: Chart, name: str, helm: str):
    case, change, message = REFUSED[name]
    rendered = chart.render(merged(chart.values(case), change), helm)
    assert not rendered.ok
    assert message in rendered.message


@pytest.mark.parametrize("helm", HELMS)
def test_nothing_at_all_asks_for_a_key_first(chart: Chart, helm: str):
    rendered = chart.render({}, helm)
    assert not rendered.ok
    assert "auth.existingSecret" in rendered.message


def test_old_kubernetes_is_refused(chart: Chart):
    rendered = chart.render(chart.values("child"), kubernetes="1.27.0")
    assert not rendered.ok
    assert "1.28" in rendered.message
