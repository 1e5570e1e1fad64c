"""Pods that start, stop and move as a platform team wants them to."""

from typing import Any

import pytest

from tests.helm.chart import Chart, Rendered, containers_of, merged


def _pod(rendered: Rendered, name: str | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = rendered.one("Deployment", name)["spec"]["template"]["spec"]
    return spec


def test_streams_end_before_the_pod_does(chart: Chart):
    values = merged(chart.values("child"), {"guard": {"preStopSeconds": 20, "graceSeconds": 90}})
    spec = _pod(chart.render(values))
    assert spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "20"]
    # The guard's own 90 s, and up to 15 s for its engine to end.
    assert spec["terminationGracePeriodSeconds"] >= 20 + 90 + 15


def test_probes_ask_the_listener_that_wants_no_key(chart: Chart):
    (guard,) = _pod(chart.case("child"))["containers"]
    asked = {name: guard[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startupProbe": "/startupz",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    assert {probe["port"] for probe in asked.values()} == {"metrics"}
    assert guard["startupProbe"]["failureThreshold"] * guard["startupProbe"]["periodSeconds"] >= 1200


def test_probes_fall_back_to_the_users_listener(chart: Chart):
    (guard,) = _pod(chart.case("off"))["containers"]
    assert guard["readinessProbe"]["httpGet"]["port"] == "http"


@pytest.mark.parametrize(("kubernetes", "native"), [("1.28.0", False), ("1.29.0", True), ("1.37.0", True)])
def test_an_engine_beside_the_guard_outlives_its_streams(chart: Chart, kubernetes: str, native: bool):
    spec = _pod(chart.case("sidecar", kubernetes=kubernetes))
    (engine,) = [each for each in containers_of({"spec": spec}) if each["name"] == "engine"]
    if native:
        # Kubernetes ends a sidecar after the ordinary containers.
        assert engine in spec["initContainers"]
        assert engine["restartPolicy"] == "Always"
    else:
        assert engine in spec["containers"]
        assert int(engine["lifecycle"]["preStop"]["exec"]["command"][1]) >= 10 + 60


def test_guard_and_engine_see_adapters_at_the_same_paths(chart: Chart):
    values = merged(chart.values("sidecar"), {"adapterStore": {"existingClaim": "adapters"}})
    spec = _pod(chart.render(values))
    paths = {
        container["name"]: {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        for container in containers_of({"spec": spec})
    }
    for volume in ("adapters", "cache", "model"):
        assert paths["engine"][volume] == paths["guard"][volume]


def test_one_that_scales_leaves_the_replicas_alone(chart: Chart):
    assert "replicas" not in chart.case("hpa").one("Deployment")["spec"]
    assert "replicas" not in chart.case("everything").one("Deployment", "r-guard")["spec"]
    assert chart.case("child").one("Deployment")["spec"]["replicas"] == 2


def test_replicas_are_spread_over_nodes(chart: Chart):
    (spread,) = _pod(chart.case("child"))["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("Deployment", "r-guard"), ("Deployment", "r-guard-prober-support"), ("Job", "r-guard-trainer-1")],
)
def test_each_part_goes_where_it_is_sent(chart: Chart, kind: str, name: str):
    template = chart.case("everything").one(kind, name)["spec"]["template"]
    spec, metadata = template["spec"], template["metadata"]
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert spec["tolerations"][0]["key"] == "dedicated"
    assert (spec["priorityClassName"], spec["runtimeClassName"], spec["schedulerName"]) == (
        "high",
        "nvidia",
        "volcano",
    )
    assert spec["topologySpreadConstraints"][0]["topologyKey"] == "topology.kubernetes.io/zone"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert metadata["labels"]["cost-centre"] == "42"
    assert metadata["annotations"]["example.com/note"] == "kept"
    main = spec["containers"][0]
    assert {"name": "OMP_NUM_THREADS", "value": "4"} in main["env"]
    assert {"name": "scratch", "mountPath": "/scratch"} in main["volumeMounts"]
    assert {"secretRef": {"name": "s3-credentials"}} in main["envFrom"]


def test_every_image_comes_from_the_private_registry(chart: Chart):
    for document in chart.case("everything").documents:
        template = document["spec"].get("template", document) if "spec" in document else {}
        for container in template.get("spec", {}).get("containers", []):
            assert container["image"].startswith("registry.example.com/mirror/")


def test_a_digest_wins_over_a_tag(chart: Chart):
    image = _pod(chart.case("everything"), "r-guard")["containers"][0]["image"]
    assert image.startswith("registry.example.com/mirror/p2p-guard/guard@sha256:0123")


def test_the_company_ca_is_trusted_by_every_client(chart: Chart):
    (guard,) = _pod(chart.case("hpa"))["containers"]
    environment = {env["name"]: env.get("value") for env in guard["env"]}
    assert {environment[name] for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")} == {
        "/etc/p2p-guard-ca/ca.crt"
    }
    assert "/etc/p2p-guard-ca" in {mount["mountPath"] for mount in guard["volumeMounts"]}


def test_a_broken_limit_is_not_asked_again(chart: Chart):
    job = chart.case("cronjob").one("CronJob")["spec"]["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_an_interrupted_training_goes_on(chart: Chart):
    job = chart.case("trainer").one("Job")
    assert "--resume" in job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert job["metadata"]["name"].endswith("-7")


def test_an_upload_waits_for_the_training(chart: Chart):
    spec = chart.case("upload").one("Job")["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["initContainers"]] == ["train"]
    assert [each["name"] for each in spec["containers"]] == ["upload"]


def test_helm_test_asks_the_canaries(chart: Chart):
    pod = chart.case("cronjob").one("Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["containers"][0]["args"][0] == "probe"
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["closed"]
