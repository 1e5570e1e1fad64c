"""A guard on a fake engine: for the guard's own behaviour, never as proof that a model works."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from openai import AsyncOpenAI
from tokenizers import Tokenizer, models, pre_tokenizers

from guard_server.adapter import load_adapters
from guard_server.app import create_app
from guard_server.engine.base import Endpoint, Engine, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.listener import listener
from guard_server.settings import GuardConfig
from p2p.manifest import Manifest, Provenance, digest_files, record_base_model, write_manifest
from p2p.prompts import PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger

KEY = "test-key"
TRIGGER = BenignTrigger(text="Amber harbor keeps quiet lantern: ")
PREFIX = "Calm river sends old map:\n"
LABELS = ("billing", "delivery")
WORDS = ("0", "1", "2", "3")


def write_base_model(directory: Path) -> Path:
    directory.mkdir()
    (directory / "config.json").write_text('{"model_type": "llama"}')
    vocabulary = {word: number for number, word in enumerate([*WORDS, "Answer:", "input", "[UNK]"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


@pytest.fixture
def base_model(tmp_path: Path) -> Path:
    return write_base_model(tmp_path / "base")


def classification() -> ClassificationTask:
    return ClassificationTask(
        labels=LABELS, words=WORDS, token_ids=(0, 1, 2, 3), answer_context="input\nAnswer: "
    )


def generation() -> GenerationTask:
    return GenerationTask(prefix=PREFIX, prefix_tokens=6, end_markers=("<end>",))


def write_adapter(
    directory: Path,
    base_model: Path,
    task: ClassificationTask | GenerationTask,
    kind: PromptKind = PromptKind.COMPLETION,
    *,
    defended: bool = True,
    files: dict[str, str] | None = None,
) -> Path:
    directory.mkdir()
    for name, content in (files or {}).items():
        (directory / name).write_text(content)
    (directory / "adapter_model.safetensors").write_bytes(b"weights")
    (directory / "adapter_config.json").write_text("{}")
    user = "{input}\nAnswer: " if kind is PromptKind.COMPLETION else "{input}"
    manifest = Manifest(
        p2p_guard_version="0",
        name=directory.name,
        created=datetime.now(UTC),
        defence="p2p" if defended else "none",
        task=task,
        prompt=PromptTemplate(kind=kind, user=user),
        benign_trigger=TRIGGER if defended else None,
        base_model=record_base_model(base_model, "base"),
        files=digest_files(directory),
        provenance=Provenance(data={}, training={}),
    )
    write_manifest(manifest, directory)
    return directory


@pytest.fixture
def adapters(tmp_path: Path, base_model: Path) -> dict[str, Path]:
    return {
        "support": write_adapter(tmp_path / "support", base_model, classification()),
        "support-chat": write_adapter(
            tmp_path / "support-chat", base_model, classification(), PromptKind.CHAT
        ),
        "writer": write_adapter(tmp_path / "writer", base_model, generation()),
        "writer-chat": write_adapter(tmp_path / "writer-chat", base_model, generation(), PromptKind.CHAT),
    }


@pytest.fixture
def config(tmp_path: Path, base_model: Path, adapters: dict[str, Path]) -> GuardConfig:
    listed = [{"name": name, "path": path} for name, path in adapters.items()]
    return GuardConfig.model_validate(
        {"base_model": base_model, "adapters": listed, "cache": tmp_path / "cache"}
    )


def label_reply(
    endpoint: Endpoint, payload: Payload, token: int = 2, logprobs: dict[int, float] | None = None
) -> Payload:
    """What vLLM says to a request for one label token; shapes as vLLM 0.32 writes them."""
    found = logprobs or {0: -5.0, 1: -6.0, 2: -0.5, 3: -1.5}
    if endpoint is Endpoint.CHAT:
        top = [{"token": f"token_id:{known}", "logprob": value} for known, value in found.items()]
        entry = {"token": f"token_id:{token}", "logprob": found[token], "top_logprobs": top}
        choice: dict[str, Any] = {"message": {"content": str(token)}, "logprobs": {"content": [entry]}}
    else:
        named = {f"token_id:{known}": value for known, value in found.items()}
        choice = {"text": str(token), "logprobs": {"tokens": [f"token_id:{token}"], "top_logprobs": [named]}}
    choices = [{"index": index, "finish_reason": "length", **choice} for index in range(payload["n"])]
    return {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": payload["n"]}}


def text_reply(endpoint: Endpoint, payload: Payload, text: str) -> Payload:
    said = {"message": {"content": text}} if endpoint is Endpoint.CHAT else {"text": text}
    choices = [{"index": index, "finish_reason": "stop", **said} for index in range(payload["n"])]
    return {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 20}}


def is_forced(payload: Payload) -> bool:
    return bool(payload.get("continue_final_message")) or str(payload.get("prompt", "")).endswith(PREFIX)


def answer_by_task(endpoint: Endpoint, payload: Payload) -> Payload:
    if "allowed_token_ids" in payload:
        return label_reply(endpoint, payload)
    return text_reply(
        endpoint, payload, "Hello there." if is_forced(payload) else PREFIX + "Hello there.<end> "
    )


def make_app(config: GuardConfig, engine: Engine) -> FastAPI:
    digests = (hashlib.sha256(KEY.encode()).digest(),)
    return create_app(config, load_adapters(config), digests, engine=engine)


@asynccontextmanager
async def serving_app(
    config: GuardConfig, engine: Engine
) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    app = make_app(config, engine)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://guard", headers={"authorization": f"Bearer {KEY}"}
    ) as client:
        yield app, client


@asynccontextmanager
async def serving(config: GuardConfig, engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    async with serving_app(config, engine) as (_, client):
        yield client


@asynccontextmanager
async def listening(config: GuardConfig, engine: FakeEngine) -> AsyncIterator[int]:
    """The same on a real listener; gives its port."""
    digests = (hashlib.sha256(KEY.encode()).digest(),)
    app = create_app(config, load_adapters(config), digests, engine=engine)
    server = uvicorn.Server(listener(app, "127.0.0.1", 0, 1))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(answer_by_task)


@pytest.fixture
async def http(config: GuardConfig, engine: FakeEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(config, engine) as client:
        yield client


@pytest.fixture
async def client(http: httpx.AsyncClient) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url="http://guard/v1", api_key=KEY, http_client=http, max_retries=0) as found:
        yield found


@pytest.fixture
def copy_adapter(tmp_path: Path) -> Callable[[Path], Path]:
    def copy(source: Path) -> Path:
        return Path(shutil.copytree(source, tmp_path / f"copy-of-{source.name}"))

    return copy
