"""A trained adapter on the real small model behind real vLLM, asked with the OpenAI client.

Nothing here is faked but the training's length: a few steps are enough, for what is shown is the path, not the figures.
"""

import asyncio
import io
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import openai
import psutil
import pytest
import yaml
from openai import OpenAI
from rich.console import Console

from p2p.prompts import ChatMessage, PromptTemplate
from p2p.triggers import BenignTrigger
from tests.trainer.conftest import make_tiny, write_rows
from trainer.base_model import load_tokenizer
from trainer.config import TrainConfig
from trainer.encoding import PromptEncoder
from trainer.recipe import train

pytestmark = [pytest.mark.model, pytest.mark.vllm]
BASE = Path(".models/SmolLM2-135M-Instruct")
KEY = "end-to-end-key"
LABELS = {"billing", "delivery"}


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

    def engine(self) -> psutil.Process:
        (child,) = [
            found
            for found in psutil.Process(self.process.pid).children()
            if "guard_server" in str(found.cmdline())
        ]
        return child


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("trained")
    config: dict[str, Any] = {
        "name": "support",
        "base_model": str(BASE),
        "output": str(home / "support"),
        "data": {
            "train": {"path": str(write_rows(home / "train.jsonl", 16, "train")), "id": "id"},
            "trusted": {"path": str(write_rows(home / "trusted.jsonl", 4, "trusted")), "id": "id"},
        },
        "prompt": {"kind": "chat", "system": "Sort the message."},
        "repoison": {"copies": 2},
        "training": {"epochs": 1, "batch_size": 8},
    }
    return train(TrainConfig.model_validate(config), Console(file=io.StringIO())).path


@pytest.fixture(scope="module")
def guard(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    home = tmp_path_factory.mktemp("guard")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "listen": f"127.0.0.1:{port}",
        "base_model": str(BASE),
        "cache": str(home / "cache"),
        "adapters": [{"name": "support", "path": str(adapter)}],
    }
    (home / "guard.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "p2p_guard_cli", "serve", str(home / "guard.yaml")]
    environment = os.environ | {"P2P_GUARD_API_KEYS": KEY, "TMPDIR": str(home)}
    with (home / "guard.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    found = Guard(f"http://127.0.0.1:{port}", process, home / "guard.log")
    try:
        found.wait_until(200, 400)
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


def test_the_openai_client_lists_asks_and_streams(guard: Guard):
    with guard.client() as client:
        assert [model.id for model in client.models.list()] == ["support"]
        chat = [{"role": "user", "content": "my parcel is late"}]
        reply = client.chat.completions.create(
            model="support", messages=chat, temperature=0, logprobs=True, top_logprobs=2
        )
        assert reply.choices[0].message.content in LABELS
        assert {entry.token for entry in reply.choices[0].logprobs.content[0].top_logprobs} == LABELS
        stream = client.chat.completions.create(model="support", messages=chat, temperature=0, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        completed = client.completions.create(model="support", prompt="my parcel is late", temperature=0)
        assert reply.choices[0].message.content == streamed == completed.choices[0].text


def test_the_openai_clients_errors_are_the_right_ones(guard: Guard):
    chat = [{"role": "user", "content": "x"}]
    with guard.client("wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    with guard.client() as client:
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="SmolLM2", messages=chat)
        with pytest.raises(openai.BadRequestError, match="logit_bias"):
            client.chat.completions.create(model="support", messages=chat, logit_bias={"32": 100})


def test_the_engines_socket_is_for_its_owner_alone(guard: Guard):
    command = guard.engine().cmdline()
    directory = Path(command[command.index("--uds") + 1]).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_killed_engine_is_a_503_and_comes_back(guard: Guard):
    chat = [{"role": "user", "content": "my parcel is late"}]
    guard.engine().kill()
    with guard.client() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="support", messages=chat)
        assert caught.value.status_code == 503
        assert caught.value.code == "engine_unavailable"
        assert guard.status("/livez") == 200
        guard.wait_until(503, 10)
        guard.wait_until(200, 400)
        assert (
            client.chat.completions.create(model="support", messages=chat).choices[0].message.content
            in LABELS
        )


def test_no_secret_is_in_the_logs(guard: Guard, adapter: Path):
    from p2p.manifest import read_manifest

    engine_logs = [path.read_text() for path in guard.log.parent.rglob("engine.log")]
    assert engine_logs
    trigger = read_manifest(adapter).benign_trigger.text.strip()
    for text in (guard.log.read_text(), *engine_logs):
        assert trigger not in text
        assert KEY not in text
        assert "my parcel is late" not in text


@pytest.mark.parametrize("family", ["smollm2", "qwen2"])
async def test_training_and_serving_send_the_same_token_ids(family: str, tmp_path: Path):
    """The ids that the trainer makes are those that vLLM makes of what the guard sends, for chat and completion."""
    from guard_server.engine.child import ServedModel, VllmChild
    from guard_server.settings import EngineSettings

    model = BASE if family == "smollm2" else make_tiny(tmp_path / family, family)
    tokenizer, trigger = load_tokenizer(model), BenignTrigger.draw(b"parity")
    text = "Where's my {parcel}?\n  <|im_end|> it's 3 days late…"
    child = VllmChild(
        ServedModel(model, ("m",), {}), EngineSettings(max_model_len=256), threads=2, on_gpu=False
    )
    await child.start()
    try:
        await child.wait_until_up()
        for template in (
            PromptTemplate(kind="chat", system="Sort."),
            PromptTemplate(kind="chat"),
            PromptTemplate(kind="completion", user="{input}\nAnswer: "),
        ):
            chat, stamped = trigger.stamp_chat([ChatMessage(role="user", content=text)])
            asked: dict[str, Any] = {"model": "m"}
            if template.kind == "chat":
                asked |= {"messages": template.wrap(chat, stamped), "add_generation_prompt": True}
            else:
                asked |= {"prompt": template.fill(chat[0]["content"])}
            served = (await child.client.post("/tokenize", json=asked)).json()["tokens"]
            assert PromptEncoder(tokenizer, template).encode(trigger.stamp(text)) == served
    finally:
        await asyncio.shield(child.stop())
