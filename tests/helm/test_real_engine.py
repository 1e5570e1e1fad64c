"""The shape with an engine of its own, as rendered, with real vLLM and the small real model in it."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.end_to_end.conftest import adapter as trained_adapter
from tests.helm.chart import Chart
from tests.helm.laid_out import Store, ask, pod_from, values_of, wait_until_ready
from tests.helm.local_pod import can_isolate, free_port

pytestmark = [
    pytest.mark.model,
    pytest.mark.vllm,
    pytest.mark.skipif(not can_isolate(), reason="processes can't have mounts of their own here"),
]
__all__ = ["trained_adapter"]


def test_the_child_shape_starts_a_real_engine(chart: Chart, tmp_path: Path, trained_adapter: Path):
    """One pod as rendered, with vLLM and the small real model in it."""
    adapters = tmp_path / "adapters"
    shutil.copytree(trained_adapter, adapters / "support")
    store = Store(Path(".models").resolve(), adapters)
    values = values_of(chart, "child", model={"name": "SmolLM2-135M-Instruct"})
    port, metrics = free_port(), free_port()
    edits = {"0.0.0.0:8000": f"127.0.0.1:{port}", "0.0.0.0:9090": f"127.0.0.1:{metrics}"}
    pod = pod_from(chart.render(values), "Deployment", tmp_path / "pod", store, edits)
    url = f"http://127.0.0.1:{port}"
    with pod.running("guard") as process:
        wait_until_ready(url, process, pod.log("guard"), seconds=600)
        reply = ask(url)
    assert reply.status_code == 200, reply.text
    # It ended its engine first: the private directory of the engine's socket is gone. uvicorn passes the signal on at the very end.
    assert list(pod.volume("tmp").glob("p2p-guard-*")) == []
    assert process.returncode in {0, -signal.SIGTERM}, pod.log("guard").read_text()
