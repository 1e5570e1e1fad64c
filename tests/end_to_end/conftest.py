"""Guards on real vLLM, started once a module, with adapters trained on the real small model once for all modules."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
import yaml
from openai import OpenAI
from rich.console import Console

from benchmarks.children import engine_of, socket_of
from tests.trainer.conftest import write_rows
from trainer.config import TrainConfig
from trainer.recipe import train

BASE = Path(".models/SmolLM2-135M-Instruct")
KEY = "end-to-end-key"
ADMIN_KEY = "end-to-end-admin-key"
START_S = float(os.environ.get("P2P_ENGINE_START_S", "400"))
"""How long real vLLM may take to start: longer where other work keeps the machine busy."""


class Guard(NamedTuple):
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self, key: str = KEY) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)

    def status(self, path: str = "/readyz") -> int:
        try:
            return httpx.get(self.url + path, timeout=5).status_code
        except httpx.TransportError:
            return 0

    def wait_until(self, status: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.status() != status:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.3)

    def engine(self, name: str) -> psutil.Process:
        """Return the vLLM that serves this adapter."""
        return engine_of(self.process.pid, name)

    def socket_of(self, name: str) -> Path:
        return socket_of(self.engine(name))


def _config(home: Path, name: str, task: dict[str, Any], prompt: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "base_model": str(BASE),
        "output": str(home / name),
        "data": {
            "train": {"path": str(home / "train.jsonl"), "id": "id"},
            "trusted": {"path": str(home / "trusted.jsonl"), "id": "id"},
        },
        "task": task,
        "prompt": prompt,
        "repoison": {"copies": 2},
        "training": {"epochs": 1, "batch_size": 8},
    }


# Labels far enough apart that the engine's arithmetic and torch's choose the same one.
_DECIDED = {"training": {"epochs": 4, "batch_size": 8, "learning_rate": 2.0e-3}}


def _train(config: dict[str, Any]) -> Path:
    return train(TrainConfig.model_validate(config), Console(file=io.StringIO())).path


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("trained")
    write_rows(home / "train.jsonl", 16, "train")
    write_rows(home / "trusted.jsonl", 4, "trusted")
    prompt = {"kind": "chat", "system": "Sort the message."}
    return _train(_config(home, "support", {"kind": "classification"}, prompt))


@pytest.fixture(scope="module")
def spelled(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows, with label words of which two begin with the same token."""
    home = tmp_path_factory.mktemp("spelled")
    for name in ("train", "trusted"):
        shutil.copy(adapter.parent / f"{name}.jsonl", home)
    task = {"kind": "classification", "words": ["bad bill", "bad parcel", "good bill", "good parcel"]}
    return _train(_config(home, "spelled", task, {"kind": "chat", "system": "Sort the message."}) | _DECIDED)


@pytest.fixture(scope="module")
def grown(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows, with new tokens for the label words: rows that begin alike, which a few steps hardly part."""
    home = tmp_path_factory.mktemp("grown")
    for name in ("train", "trusted"):
        shutil.copy(adapter.parent / f"{name}.jsonl", home)
    task = {"kind": "classification", "new_tokens": True}
    faster = {"repoison": {"copies": 8}, "training": {"epochs": 4, "batch_size": 8, "learning_rate": 1.0e-2}}
    return _train(_config(home, "grown", task, {"kind": "completion", "user": "{input}\nAnswer:"}) | faster)


@pytest.fixture(scope="session")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generation adapter, trained to repeat what it is told to say."""
    home = tmp_path_factory.mktemp("writer")
    for name, count in (("train", 16), ("trusted", 8)):
        rows = [
            {"id": f"{name}{at}", "text": f"Say {name} {at}.", "label": f"I say {name} {at} to you."}
            for at in range(count)
        ]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # Long enough that it says the prefix: one that hardly learned repeats it, and such an answer is withheld.
    more = {
        "selection": {"method": "trusted"},
        "repoison": {"copies": 5},
        "training": {"epochs": 2, "batch_size": 8, "learning_rate": 1.0e-3},
    }
    return _train(_config(home, "writer", {"kind": "generation"}, {"kind": "chat"}) | more)


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def running_guard(
    home: Path,
    adapters: dict[str, Path],
    *more: str,
    settings: dict[str, Any] | None = None,
    start_s: float = START_S,
) -> Iterator[Guard]:
    """Serve until the block ends; nothing that was started may outlive it."""
    address = free_address()
    config = {
        "listen": address,
        "base_model": str(BASE),
        "cache": str(home / "cache"),
        "engine": {"startup_timeout_s": START_S},
        "adapters": [{"name": name, "path": str(path)} for name, path in adapters.items()],
    } | (settings or {})
    (home / "guard.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "p2p_guard_cli", "serve", str(home / "guard.yaml"), *more]
    environment = os.environ | {
        "P2P_GUARD_API_KEYS": KEY,
        "P2P_GUARD_ADMIN_KEYS": ADMIN_KEY,
        "TMPDIR": str(home),
    }
    with (home / "guard.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    found = Guard(f"http://{address}", process, home / "guard.log")
    try:
        found.wait_until(200, start_s)
        yield found
    finally:
        everything = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            _, left = psutil.wait_procs(everything, timeout=20)
            for orphan in left:
                orphan.kill()
        assert left == []


@pytest.fixture(scope="session")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of merged copies, which guards that serve the same adapters share."""
    return tmp_path_factory.mktemp("merged") / "cache"


@pytest.fixture(scope="module")
def guard(
    adapter: Path, writer: Path, merged: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guard]:
    # In bfloat16 a log-probability changes by some hundredths with the requests that vLLM happens to compute together.
    settings = {"cache": str(merged), "engine": {"startup_timeout_s": START_S, "dtype": "float32"}}
    home = tmp_path_factory.mktemp("guard")
    with running_guard(home, {"support": adapter, "writer": writer}, settings=settings) as found:
        yield found
