"""Two guards before one real vLLM: each switches for itself, and neither fails when the other one does or goes."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from guard_server.engine.child import cpu_environment
from tests.end_to_end.conftest import ADMIN_KEY, KEY, START_S, Guard, free_address, running_guard
from tests.end_to_end.telling_adapters import QUESTION, Telling, make_servable, telling_pair

pytestmark = [pytest.mark.model, pytest.mark.vllm]
ENGINE_KEY = "two-guards-engine-key"


class Pair(NamedTuple):
    """Two guards, their admin APIs, and two versions of what they serve, the first one live in both."""

    guards: tuple[Guard, Guard]
    admins: tuple[str, str]
    tellings: tuple[Telling, Telling]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A vLLM that somebody else runs, and the base model that it serves."""
    home = tmp_path_factory.mktemp("shared-engine")
    base, address = make_servable(home / "tiny"), free_address()
    command = [sys.executable, "-m", "guard_server.engine.launch", "--model", str(base), "--dtype", "float32"]
    command += ["--host", "127.0.0.1", "--port", address.rsplit(":", 1)[1], "--api-key", ENGINE_KEY]
    command += ["--max-model-len", "128", "--enforce-eager", "--enable-lora", "--max-loras", "2"]
    environment = os.environ | cpu_environment(os.cpu_count() or 1, is_eager=True)
    environment |= {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "HF_HUB_OFFLINE": "1"}
    with (home / "engine.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        deadline = time.monotonic() + START_S
        while not _is_well(address):
            assert process.poll() is None, (home / "engine.log").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield f"http://{address}", base
    finally:
        process.terminate()
        process.wait(60)


def _is_well(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def pair(engine: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    url, base = engine
    monkeypatch.setenv("P2P_TEST_ENGINE_KEY", ENGINE_KEY)
    tellings = telling_pair(base, tmp_path)
    admins = (free_address(), free_address())
    with ExitStack() as stack:
        guards = []
        for at, admin in enumerate(admins):
            home = tmp_path / f"guard{at}"
            home.mkdir()
            settings: dict[str, Any] = {
                "base_model": str(base),
                "admin": {"listen": admin},
                "engine": {"url": url, "api_key_env": "P2P_TEST_ENGINE_KEY"},
                "adapters": [{"name": "support", "source": str(tellings[0].path)}],
            }
            guards.append(stack.enter_context(running_guard(home, {}, settings=settings)))
        yield Pair((guards[0], guards[1]), (f"http://{admins[0]}", f"http://{admins[1]}"), tellings)


class Traffic:
    """Asks one guard without a pause, and keeps every answer that was not the version's that is live there."""

    def __init__(self, guard: Guard, answer: str) -> None:
        self.possible, self.wrong, self.answers, self.is_over = {answer}, list[str](), 0, False
        self._http = httpx.AsyncClient(
            base_url=guard.url, headers={"authorization": f"Bearer {KEY}"}, timeout=60
        )

    async def run(self) -> None:
        async with self._http:
            while not self.is_over:
                await self._ask()

    async def _ask(self) -> None:
        possible = self.possible
        body = {"model": "support", "prompt": QUESTION, "temperature": 0}
        reply = await self._http.post("/v1/completions", json=body)
        self.answers += 1
        text = reply.json()["choices"][0]["text"] if reply.status_code == 200 else reply.text
        if text not in possible | self.possible:
            self.wrong.append(text)


async def _switch(admin: str, telling: Telling) -> None:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {ADMIN_KEY}"}, timeout=120) as http:
        for step, body in (("load", {"source": str(telling.path)}), ("promote", None)):
            reply = await http.post(f"{admin}/admin/v1/adapters/support/{step}", json=body)
            assert reply.status_code == 200, reply.text


async def test_two_guards_share_an_engine(pair: Pair):
    old, new = (telling.answer for telling in pair.tellings)
    traffic = [Traffic(guard, old) for guard in pair.guards]
    asking = [asyncio.create_task(one.run()) for one in traffic]
    await _more_answers(traffic)
    traffic[0].possible = {old, new}
    await _switch(pair.admins[0], pair.tellings[1])
    traffic[0].possible = {new}
    # The first guard has let the old version go; the second one still serves it from the same engine.
    await _more_answers(traffic)
    traffic[0].is_over = True
    await asking[0]
    pair.guards[0].process.kill()
    await _more_answers(traffic[1:])
    traffic[1].possible = {old, new}
    await _switch(pair.admins[1], pair.tellings[1])
    traffic[1].possible = {new}
    await _more_answers(traffic[1:])
    traffic[1].is_over = True
    await asking[1]
    assert [one.wrong for one in traffic] == [[], []]


async def _more_answers(traffic: list[Traffic]) -> None:
    """Wait until each guard has given twenty more."""
    wanted = [one.answers + 20 for one in traffic]
    async with asyncio.timeout(120):
        while any(one.answers < count for one, count in zip(traffic, wanted, strict=True)):  # noqa: ASYNC110 - counts, no event
            await asyncio.sleep(0.05)
