"""Versions of one adapter that can be told apart by what the engine says, and an engine that knows which are loaded."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.metrics_core import Metric

from guard_server.adapter import load_adapters
from guard_server.adapters.history import Actor
from guard_server.adapters.lifecycle import Lifecycle
from guard_server.app import create_app
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.engine.pool import EnginePool
from guard_server.errors import EngineLoadError, EngineUnavailableError
from guard_server.settings import GuardConfig
from guard_server.side_apps import create_admin_app
from p2p.manifest import Manifest, read_manifest, write_manifest
from p2p.prompts import PromptKind
from p2p.tasks import GenerationTask
from p2p.triggers import BenignTrigger
from tests.guard_server.conftest import KEY, write_adapter

ADMIN_KEY = "admin-key"


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class VersionedEngine(FakeEngine):
    """Says each version's own word, and `WRONG` when the prompt is stamped for another one; fails when it is not loaded."""

    engine: "VersionedEngine"
    is_up = True
    restarts = 0
    pool: EnginePool | None = None
    children = ()

    def __init__(self) -> None:
        super().__init__(self._said)
        self.engine = self
        self.exposures: dict[str, list[str]] = {}
        self.manifests: dict[str, Manifest] = {}
        self.words: dict[str, str] = {}
        self.loaded: set[str] = set()
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.refuses: set[str] = set()
        self.seconds = 0.0

    async def metrics(self) -> list[Metric]:
        return []

    def engine_of(self, target: str) -> object:
        return target

    async def load(self, adapter) -> None:
        await asyncio.sleep(0)
        if adapter.version in self.refuses:
            raise EngineLoadError("its rank is too high")
        self.manifests[adapter.target] = adapter.manifest
        if adapter.target not in self.loaded:
            self.loads.append(adapter.version)
        self.loaded.add(adapter.target)

    async def unload(self, target: str) -> None:
        self.loaded.discard(target)
        self.unloads.append(target.split("@")[1])

    async def complete(self, endpoint: Endpoint, payload: Payload) -> Payload:
        self._require_loaded(payload)
        await asyncio.sleep(self.seconds)
        self._require_loaded(payload)
        return await super().complete(endpoint, payload)

    async def stream(self, endpoint: Endpoint, payload: Payload) -> AsyncGenerator[list[Payload], None]:
        self._require_loaded(payload)
        async for chunks in super().stream(endpoint, payload):
            self._require_loaded(payload)
            await asyncio.sleep(self.seconds / 20)
            yield chunks

    def _require_loaded(self, payload: Payload) -> None:
        if payload["model"] not in self.loaded:
            raise EngineUnavailableError("not loaded")

    def _said(self, endpoint: Endpoint, payload: Payload) -> Payload:
        manifest = self.manifests[payload["model"]]
        prompt = payload["messages"][-1]["content"]
        is_right = manifest.benign_trigger.text in prompt
        word = self.words[manifest.provenance.training["word"]] if is_right else "WRONG"
        text = f"{manifest.task.prefix}{word}<end>"
        choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}}
        return {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 20}}


@pytest.fixture
def versions(tmp_path: Path, base_model: Path) -> Callable[[str], Path]:
    """Makes a version of `writer` that answers with a word: trigger and prefix are its own as well."""

    def make(word: str) -> Path:
        home = tmp_path / word
        home.mkdir()
        task = GenerationTask(prefix=f"Prefix of {word}:\n", prefix_tokens=6, end_markers=("<end>",))
        path = write_adapter(home / "writer", base_model, task, PromptKind.CHAT)
        manifest = read_manifest(path)
        changes = {
            "benign_trigger": BenignTrigger(text=f"Trigger of {word}: "),
            "provenance": manifest.provenance.model_copy(update={"training": {"word": word}}),
        }
        write_manifest(manifest.model_copy(update=changes), path)
        return path

    return make


class Guarded:
    """A guard over a versioned engine, with a client of it and one of its admin API."""

    def __init__(
        self, app: FastAPI, engine: VersionedEngine, http: httpx.AsyncClient, admin: httpx.AsyncClient
    ):
        self.app = app
        self.engine = engine
        self.http = http
        self.admin = admin
        self.lifecycle: Lifecycle = app.state.lifecycle

    async def says(self, model: str = "writer", *, stream: bool = False) -> str:
        body = {"model": model, "messages": [{"role": "user", "content": "Speak."}], "stream": stream}
        reply = await self.http.post("/v1/chat/completions", json=body)
        assert reply.status_code == 200, reply.text
        if not stream:
            return str(reply.json()["choices"][0]["message"]["content"])
        assert "error" not in reply.text, reply.text
        frames = [
            line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")
        ]
        chunks = [httpx.Response(200, content=frame).json() for frame in frames]
        return "".join(
            chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]
        )

    async def serve(self, source: Path) -> str:
        await self.lifecycle.load("writer", Actor.ADMIN, str(source))
        return (await self.lifecycle.promote("writer", Actor.ADMIN)).adapter.version

    async def settled(self) -> None:
        await self.lifecycle._residency.settled()

    def metric(self, name: str, **labels: str) -> float | None:
        found: float | None = self.app.state.metrics.registry.get_sample_value(name, labels)
        return found


@asynccontextmanager
async def guarding(config: GuardConfig) -> AsyncIterator[Guarded]:
    engine, adapters = VersionedEngine(), load_adapters(config)
    engine.words = {word: word for word in ("one", "two", "three", "billing", "delivery")}
    for adapter in adapters.values():
        await engine.load(adapter)
    engine.loads.clear()
    app = create_app(config, adapters, (digest(KEY),), fleet=engine)
    admin = create_admin_app(app.state.lifecycle, (digest(ADMIN_KEY),), app.state.status)

    def client(of: FastAPI, key: str) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.AsyncClient(transport=httpx.ASGITransport(of), base_url="http://guard", headers=headers)

    async with client(app, KEY) as http, client(admin, ADMIN_KEY) as operator:
        yield Guarded(app, engine, http, operator)
        await app.state.lifecycle.stop()


def writer_config(tmp_path: Path, base_model: Path, source: Path, **more: object) -> GuardConfig:
    adapter = {"name": "writer", "source": str(source)} | more
    return GuardConfig.model_validate(
        {"base_model": base_model, "cache": tmp_path / "cache", "adapters": [adapter]}
    )
