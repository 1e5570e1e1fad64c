"""What the serving benchmarks stand on: two adapters without weights, fast engines, and a guard before them, each in its own process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import psutil
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks.fast_engine import PREFIX
from p2p.manifest import (
    Manifest,
    Provenance,
    digest_files,
    read_manifest,
    record_base_model,
    verify_adapter,
    write_manifest,
)
from p2p.prompts import PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger

KEY = "sk-benchmark-key"
"""LiteLLM takes no key that begins otherwise."""
LABELS = frozenset({"billing", "delivery"})
_WORDS = ("0", "1", "2", "3")
TEXT = "Order {:05d}: my parcel has not arrived although it was sent last week; where is it, and when will I get it?"


class Bed(NamedTuple):
    """Adapters on disk.

    Attributes:
        home: The directory of everything.
        adapters: Directories by public name: ``sorter`` gives labels, ``writer`` text.
        targets: What an engine calls them.
    """

    home: Path
    adapters: dict[str, Path]
    targets: dict[str, str]


class Process(NamedTuple):
    """A program that listens.

    Attributes:
        popen: The program.
        port: Where it listens, on loopback; 0 for one that listens on a socket.
        socket: The Unix socket that it listens on.
    """

    popen: subprocess.Popen[bytes]
    port: int
    socket: Path | None = None

    @property
    def url(self) -> str:
        """What ``engine.urls`` calls it."""
        return f"unix://{self.socket}" if self.socket else f"http://127.0.0.1:{self.port}"

    @property
    def cpu_seconds(self) -> float:
        """The processor time, user and system, of the program and its children so far."""
        root = psutil.Process(self.popen.pid)
        return sum(sum(found.cpu_times()[:2]) for found in (root, *root.children(recursive=True)))


def make_bed(home: Path) -> Bed:
    """Write a base model's tokenizer and two adapters that a remote engine may be asked for."""
    base = home / "base"
    base.mkdir(parents=True)
    (base / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    vocabulary = {word: at for at, word in enumerate([*_WORDS, "Answer:", "[UNK]"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(base / "tokenizer.json"))
    sorter = ClassificationTask(
        labels=tuple(sorted(LABELS)), words=_WORDS, token_ids=(0, 1, 2, 3), answer_context="Answer: "
    )
    adapters = {
        "sorter": _write_adapter(home / "sorter", base, sorter),
        "writer": _write_adapter(home / "writer", base, GenerationTask(prefix=PREFIX, prefix_tokens=6)),
    }
    return Bed(home, adapters, {name: verify_adapter(path).content_name for name, path in adapters.items()})


def benign_trigger(adapter: Path) -> str:
    """Return the benign trigger of an adapter, without the space around it."""
    trigger = read_manifest(adapter).benign_trigger
    return trigger.text.strip() if trigger else ""


def _write_adapter(directory: Path, base: Path, task: ClassificationTask | GenerationTask) -> Path:
    directory.mkdir()
    (directory / "adapter_model.safetensors").write_bytes(b"none")
    (directory / "adapter_config.json").write_text("{}", encoding="utf-8")
    manifest = Manifest(
        p2p_guard_version="0",
        name=directory.name,
        created=datetime.now(UTC),
        defence="p2p",
        task=task,
        prompt=PromptTemplate(kind=PromptKind.CHAT),
        benign_trigger=BenignTrigger.draw(b"benchmark"),
        base_model=record_base_model(base, "base"),
        files=digest_files(directory),
        provenance=Provenance(data={}, training={}),
    )
    write_manifest(manifest, directory)
    return directory


@contextmanager
def fast_engine(bed: Bed, *more: str, port: int = 0, socket: Path | None = None) -> Iterator[Process]:
    """Run a fast engine that serves both adapters until the block ends, on a port or on a Unix socket."""
    names = [part for target in bed.targets.values() for part in ("--model", target)]
    place = ["--uds", str(socket)] if socket else ["--port", str(port)]
    command = [sys.executable, "-m", "benchmarks.fast_engine", *place, *names, *more]
    with running(command, stdout=subprocess.PIPE) as popen:
        assert popen.stdout is not None
        yield Process(popen, int(popen.stdout.readline()), socket)


@contextmanager
def guard(
    bed: Bed,
    engines: Sequence[Process],
    *,
    port: int,
    log: Path = Path(os.devnull),
    environment: Mapping[str, str] = MappingProxyType({}),
    **limits: Any,  # noqa: ANN401 - as in guard.yaml
) -> Iterator[Process]:
    """Run a guard before these engines until the block ends; it is ready when the block begins."""
    config = {
        "listen": f"127.0.0.1:{port}",
        "base_model": str(bed.home / "base"),
        "cache": str(bed.home / "cache"),
        "adapters": [{"name": name, "path": str(path)} for name, path in bed.adapters.items()],
        "engine": {"urls": [engine.url for engine in engines], "hang_s": 5},
        "limits": {"in_flight": 256} | limits,
        "grace_s": 5,
    }
    with serve(bed.home / f"guard-{port}.yaml", config, log=log, environment=environment) as found:
        yield found


@contextmanager
def serve(
    path: Path,
    config: Mapping[str, Any],
    *,
    log: Path = Path(os.devnull),
    environment: Mapping[str, str] = MappingProxyType({}),
    seconds: float = 120,
) -> Iterator[Process]:
    """Run a guard with a configuration until the block ends; it is ready when the block begins.

    Args:
        path: Where the configuration is written.
        config: What it says.
        log: Where the guard's log goes.
        environment: Variables over this process's own.
        seconds: How long it may take to be ready.

    Raises:
        RuntimeError: It ended, or took longer.
    """
    path.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    port = int(config["listen"].rsplit(":", 1)[1])
    command = [sys.executable, "-m", "p2p_guard_cli", "serve", str(path)]
    with (
        log.open("ab") as errors,
        running(command, stderr=errors, env=os.environ | {"P2P_GUARD_API_KEYS": KEY, **environment}) as popen,
    ):
        wait_until(f"http://127.0.0.1:{port}/readyz", popen, seconds)
        yield Process(popen, port)


@contextmanager
def running(command: Sequence[str], **given: Any) -> Iterator[subprocess.Popen[bytes]]:  # noqa: ANN401 - as Popen takes them
    """Run a program until the block ends."""
    popen = subprocess.Popen(command, **given)
    try:
        yield popen
    finally:
        popen.terminate()
        try:
            popen.wait(60)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
        if popen.stdout:
            popen.stdout.close()


def wait_until(url: str, popen: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until a URL answers 200.

    Raises:
        RuntimeError: The program ended, or took too long.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and popen.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


def client_request(model: str, *, stream: bool, **more: Any) -> bytes:  # noqa: ANN401 - as the API takes them
    """Return what a client asks the guard."""
    messages = [{"role": "user", "content": TEXT.format(0)}]
    return post({"model": model, "messages": messages, "temperature": 0, "stream": stream, **more})


def engine_request(bed: Bed, model: str, *, stream: bool) -> bytes:
    """Return the same, as an engine would be asked without a guard: a label is one token of an answer that is left free."""
    asked: dict[str, Any] = {"model": bed.targets[model], "temperature": 0, "stream": stream, "n": 1}
    if model == "sorter":
        asked |= {
            "max_tokens": 1,
            "allowed_token_ids": [2, 3],
            "logprob_token_ids": [0, 1, 2, 3],
            "logprobs": True,
            "stream": False,
        }
    return post(asked | {"messages": [{"role": "user", "content": TEXT.format(0)}]})


def post(body: dict[str, Any], path: str = "/v1/chat/completions") -> bytes:
    """Return a POST with the benchmark's key."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def free_port() -> int:
    """Return a port that nobody listens on now."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
