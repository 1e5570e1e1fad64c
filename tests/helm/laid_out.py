"""A rendered pod laid out on this machine, with what the cluster would hold: claims, Secrets, free addresses."""

import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers

from p2p.prompts import PromptKind
from tests.guard_server.conftest import WORDS, classification, write_adapter
from tests.helm.chart import Chart, Rendered, merged, pod_of
from tests.helm.local_pod import LocalPod

KEY = "a-key-of-some-length-for-tests"
CANARY = {
    "limits": {"asr_max": 1.0, "clean_accuracy_min": 0.0},
    "cases": [
        {
            "id": "c1",
            "input": "where is it",
            "answer": "billing",
            "attack": {"name": "badnets", "word": "mn", "target": "delivery"},
        }
    ],
}


class Store(NamedTuple):
    """What the claims hold."""

    models: Path
    adapters: Path


def made_store(home: Path) -> Store:
    """Make claims with a base model that is a tokenizer alone, and an adapter for it: enough for an engine that is a stand-in."""
    store = Store(home / "models", home / "adapters")
    base = store.models / "base"
    base.mkdir(parents=True)
    (base / "config.json").write_text('{"model_type": "llama"}')
    vocabulary = {word: number for number, word in enumerate([*WORDS, "Answer:", "input", "[UNK]"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(base / "tokenizer.json"))
    store.adapters.mkdir()
    write_adapter(store.adapters / "support", base, classification(), PromptKind.CHAT)
    return store


def values_of(chart: Chart, case: str, **change: Any) -> dict[str, Any]:
    known = {
        "model": {"name": "base"},
        "adapters": [{"name": "support", "path": "support"}],
        "adapterStore": {"existingClaim": "adapters"},
        "prober": {
            "existingSecret": "probe-key",
            "sets": [{"name": "support", "model": "support", "canary": yaml.safe_dump(CANARY)}],
        },
        "metrics": {"enabled": True},
    }
    return merged(merged(chart.values(case), known), change)


def pod_from(rendered: Rendered, kind: str, home: Path, store: Store, edits: dict[str, str]) -> LocalPod:
    """Lay out a pod: claims, keys, and its ConfigMaps with addresses that are free here."""
    pod = pod_of(rendered.one(kind))
    assert pod is not None
    given: dict[str, dict[str, str] | Path] = {
        "model": store.models,
        "adapters": store.adapters,
        "api-keys": {"keys": f"{KEY}\n"},
    }
    for volume in pod["spec"]["volumes"]:
        if name := volume.get("configMap", {}).get("name"):
            for found in rendered.all("ConfigMap", name):
                given[volume["name"]] = {file: _edited(text, edits) for file, text in found["data"].items()}
    home.mkdir()
    return LocalPod(pod["spec"], home, given, {"probe-key/api-key": KEY, "vllm-key/api-key": "engine-key"})


def _edited(text: str, edits: dict[str, str]) -> str:
    for old, new in edits.items():
        text = text.replace(old, new)
    return text


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def ask(url: str) -> httpx.Response:
    question = {"model": "support", "messages": [{"role": "user", "content": "where is it"}]}
    return httpx.post(
        f"{url}/v1/chat/completions", json=question, headers={"authorization": f"Bearer {KEY}"}, timeout=30
    )
