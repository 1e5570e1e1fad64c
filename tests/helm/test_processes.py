"""The rendered pods' own commands start the guard: as the pod's user, on a read-only root, with nothing but what the pod gives them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.helm.chart import Chart, merged
from tests.helm.laid_out import Store, ask, made_store, pod_from, values_of, wait_until_ready
from tests.helm.local_pod import LocalPod, can_isolate, free_port

pytestmark = pytest.mark.skipif(not can_isolate(), reason="processes can't have mounts of their own here")

FAKE = ["python", "-m", "tests.helm.fake_vllm"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return made_store(tmp_path_factory.mktemp("claims"))


@pytest.fixture(scope="module")
def guarded(
    chart: Chart, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, LocalPod]]:
    """The sidecar shape's pod: vLLM's stand-in on the shared socket, and the guard as rendered."""
    rendered = chart.render(values_of(chart, "sidecar"))
    assert rendered.ok, rendered.message
    port, metrics = free_port(), free_port()
    edits = {"0.0.0.0:8000": f"127.0.0.1:{port}", "0.0.0.0:9090": f"127.0.0.1:{metrics}"}
    pod = pod_from(rendered, "Deployment", tmp_path_factory.mktemp("sidecar") / "pod", store, edits)
    engine = [*FAKE, "--uds", "/run/p2p-engine/engine.sock"]
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.enter_context(pod.running("engine", engine))
        process = stack.enter_context(pod.running("guard"))
        wait_until_ready(url, process, pod.log("guard"))
        yield url, pod


def test_the_sidecar_shape_answers_over_the_shared_socket(guarded: tuple[str, LocalPod]):
    url, _ = guarded
    reply = ask(url)
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"]["content"] == "billing"
    assert httpx.get(f"{url}/v1/models", timeout=10).status_code == 401


def test_the_engines_own_check_finds_it(guarded: tuple[str, LocalPod]):
    _, pod = guarded
    check = pod.container("engine")["startupProbe"]["exec"]["command"]
    with pod.running("engine", ["python", *check[1:]]) as process:
        assert process.wait(30) == 0, pod.log("engine").read_text()


def test_the_probers_command_gives_a_verdict(
    chart: Chart, store: Store, tmp_path: Path, guarded: tuple[str, LocalPod]
):
    url, _ = guarded
    values = values_of(chart, "cronjob", prober={"url": f"{url}/v1"})
    rendered = chart.render(values)
    assert rendered.ok, rendered.message
    prober = pod_from(rendered, "CronJob", tmp_path / "prober", store, {})
    with prober.running("prober") as process:
        assert process.wait(60) == 0, prober.log("prober").read_text()
    assert "badnets" in prober.log("prober").read_text()


def test_helm_tests_first_container_finds_it_closed(
    chart: Chart, store: Store, tmp_path: Path, guarded: tuple[str, LocalPod]
):
    url, _ = guarded
    test = pod_from(chart.render(values_of(chart, "cronjob")), "Pod", tmp_path / "test", store, {})
    said = test.container("closed")
    command = [*said["command"], said["args"][0].replace("http://r-p2p-guard:8000", url)]
    with test.running("closed", command) as process:
        assert process.wait(60) == 0, test.log("closed").read_text()


def test_the_remote_shape_sends_the_engines_key(chart: Chart, store: Store, tmp_path: Path):
    engine_port, port, metrics = free_port(), free_port(), free_port()
    values = values_of(chart, "remote", engine={"remote": {"urls": [f"http://127.0.0.1:{engine_port}"]}})
    rendered = chart.render(merged(values, {"adapterStore": {"fetch": {"enabled": False}}}))
    assert rendered.ok, rendered.message
    edits = {"0.0.0.0:8000": f"127.0.0.1:{port}", "0.0.0.0:9090": f"127.0.0.1:{metrics}"}
    pod = pod_from(rendered, "Deployment", tmp_path / "pod", store, edits)
    assert pod.environment("guard")["P2P_GUARD_ENGINE_KEY"] == "engine-key"
    url = f"http://127.0.0.1:{port}"
    # Another pod's engine: an ordinary process.
    engine = subprocess.Popen([sys.executable, *FAKE[1:], "--port", str(engine_port)])
    try:
        with pod.running("guard") as process:
            wait_until_ready(url, process, pod.log("guard"))
            assert ask(url).status_code == 200
    finally:
        engine.terminate()
        engine.wait(10)


def test_the_root_can_not_be_written_to(chart: Chart, store: Store, tmp_path: Path):
    """What the tests above run in is what Kubernetes would give: else they would show nothing."""
    pod = pod_from(chart.render(values_of(chart, "child")), "Deployment", tmp_path / "pod", store, {})
    script = """
import os, pathlib, sys
for place in ("/", "/etc", "/usr", "/models", "/adapters", "/etc/p2p-guard"):
    try:
        (pathlib.Path(place) / "written").write_text("")
    except OSError:
        continue
    sys.exit(f"{place} can be written to")
for place in ("/tmp", "/var/cache/p2p-guard", "/dev/shm"):
    (pathlib.Path(place) / "written").write_text("")
assert os.getuid() == 10001, os.getuid()
status = pathlib.Path("/proc/self/status").read_text()
assert "CapEff:\\t0000000000000000" in status, status
assert "NoNewPrivs:\\t1" in status, status
"""
    with pod.running("guard", ["python", "-c", script]) as process:
        assert process.wait(30) == 0, pod.log("guard").read_text()
