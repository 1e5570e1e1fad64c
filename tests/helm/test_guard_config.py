"""The guard.yaml that a ConfigMap carries: one that the guard reads, with nothing open, and taken over without a restart."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from guard_server.settings import load_config
from tests.helm.chart import Chart, merged

GUARDED = ["child", "sidecar", "remote", "cronjob", "hpa", "off", "everything"]


def config_of(rendered: Any) -> dict[str, Any]:
    (found,) = [each for each in rendered.all("ConfigMap") if "guard.yaml" in each["data"]]
    config: dict[str, Any] = yaml.safe_load(found["data"]["guard.yaml"])
    return config


@pytest.mark.parametrize("case", GUARDED)
def test_the_guard_reads_it(chart: Chart, case: str, tmp_path: Path):
    config = config_of(chart.case(case))
    (tmp_path / "guard.yaml").write_text(yaml.safe_dump(config))
    read = load_config(tmp_path / "guard.yaml")
    assert read.auth.keys_file == Path("/etc/p2p-guard-keys/api/keys")
    assert not read.auth.allow_anonymous
    assert not read.unsafe_allow_unguarded
    assert read.metrics_auth


def test_users_settings_arrive(chart: Chart):
    config = config_of(chart.case("everything"))
    assert config["limits"] == {"in_flight": 64, "body_bytes": 10_000_000}
    assert config["base_model"] == "/models/base/model"
    assert [adapter.get("path") for adapter in config["adapters"]] == ["/srv/adapters/support", None]
    assert config["engine"]["extra_args"] == ["--seed", "0"]


@pytest.mark.parametrize(
    ("case", "engine"),
    [
        ("child", {}),
        ("sidecar", {"url": "unix:///run/p2p-engine/engine.sock"}),
        ("remote", {"url": "http://vllm.models.svc:8000", "api_key_env": "P2P_GUARD_ENGINE_KEY"}),
        ("hpa", {"urls": ["https://vllm-a.example.com", "https://vllm-b.example.com"]}),
    ],
)
def test_each_shape_names_its_engine(chart: Chart, case: str, engine: dict[str, Any]):
    assert config_of(chart.case(case))["engine"] == engine


def test_adapters_change_without_a_restart(chart: Chart):
    values = chart.values("child")
    adapters = [{"name": "support", "path": "support-v2"}, {"name": "billing", "path": "billing"}]
    before, after = chart.render(values), chart.render(values | {"adapters": adapters})
    assert config_of(before) != config_of(after)
    assert before.one("Deployment") == after.one("Deployment")


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"limits": {"in_flight": 7}}},
        {"engine": {"settings": {"max_model_len": 512}}},
        {"model": {"name": "another"}},
        {"metrics": {"port": 9091}},
        {"guard": {"graceSeconds": 5}},
    ],
)
def test_what_it_can_not_reload_rolls_the_pods(chart: Chart, change: dict[str, Any]):
    values = chart.values("child")
    before, after = chart.render(values), chart.render(merged(values, change))
    assert before.one("Deployment")["spec"]["template"] != after.one("Deployment")["spec"]["template"]


def test_config_and_keys_are_mounted_so_that_changes_arrive(chart: Chart):
    """A subPath mount would keep the file that was there when the pod started."""
    (guard,) = chart.case("everything").one("Deployment", "r-guard")["spec"]["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount for mount in guard["volumeMounts"]}
    assert not any("subPath" in mounts[name] for name in ("config", "api-keys", "admin-keys"))
