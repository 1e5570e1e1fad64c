"""200 switches between two versions of an adapter on real vLLM, which loads and unloads LoRA weights while it answers.

The model is tiny and random, so that a start takes a minute and an answer milliseconds; the versions differ in their weights, their
benign triggers and their digests, and each gives its own answer to the question.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
import yaml

from guard_server.adapter import load_adapters
from guard_server.settings import GuardConfig
from tests.end_to_end.conftest import ADMIN_KEY, KEY, Guard, free_address, running_guard
from tests.end_to_end.telling_adapters import QUESTION, Telling, make_servable, telling_pair

pytestmark = [pytest.mark.model, pytest.mark.vllm]
SWITCHES = 200
WORKERS = 4
START_S = 900


class Served(NamedTuple):
    """A guard that serves the first version, and where its admin API is."""

    guard: Guard
    admin: str
    versions: tuple[str, str]
    tellings: tuple[Telling, Telling]
    home: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("switching")
    base = make_servable(home / "tiny")
    pair = telling_pair(base, home)
    assert min(telling.margin for telling in pair) > 0.05
    admin, metrics = free_address(), free_address()
    settings: dict[str, Any] = {
        "base_model": str(base),
        "admin": {"listen": admin},
        "metrics": {"listen": metrics},
        "engine": {"serve_as": "lora", "dtype": "float32", "max_model_len": 128},
        "adapters": [{"name": "support", "source": str(pair[0].path)}],
    }
    with running_guard(home, {}, settings=settings, start_s=START_S) as guard:
        assert httpx.get(f"http://{metrics}/readyz").status_code == 200
        adapters = [{"name": "support", "path": telling.path} for telling in pair]
        config = {"base_model": base, "cache": home / "cache"}
        first, second = (
            load_adapters(GuardConfig.model_validate(config | {"adapters": [one]}))["support"].version
            for one in adapters
        )
        yield Served(guard, f"http://{admin}", (first, second), pair, home)


class Traffic:
    """Asks without a pause, and notes every answer that no live version of its time could have given."""

    def __init__(self, served: Served) -> None:
        self.begun = self.acknowledged = self.answers = self.strict = 0
        self.wrong: list[str] = []
        self.is_over = False
        self._served = served
        headers = {"authorization": f"Bearer {KEY}"}
        self._http = httpx.AsyncClient(base_url=served.guard.url, headers=headers, timeout=60)

    async def says(self, *, stream: bool = False) -> tuple[str, str]:
        """Return the version that the guard says, and the answer."""
        body = {"model": "support", "prompt": QUESTION, "temperature": 0, "stream": stream}
        reply = await self._http.post("/v1/completions", json=body)
        assert reply.status_code == 200, reply.text
        frames = [reply.text]
        if stream:
            assert reply.text.endswith("data: [DONE]\n\n"), reply.text
            frames = [line[6:] for line in reply.text.splitlines() if line.startswith("data: {")]
        found = [httpx.Response(200, content=frame).json() for frame in frames]
        text = "".join(choice["text"] for chunk in found for choice in chunk["choices"])
        return found[0]["p2p_guard"]["version"], text

    def expected(self, number: int) -> tuple[str, str]:
        """What the version says that the n-th switch makes live; 0 is the start."""
        return self._served.versions[number % 2], self._served.tellings[number % 2].answer

    async def ask(self, *, stream: bool) -> None:
        while not self.is_over:
            first = self.acknowledged
            said = await self.says(stream=stream)
            possible = {self.expected(number) for number in range(first, self.begun + 1)}
            self.answers += 1
            self.strict += len(possible) == 1
            if said not in possible:
                self.wrong.append(f"{said}, not {possible}")

    async def close(self) -> None:
        await self._http.aclose()


async def test_200_switches_under_traffic(
    served: Served, record_testsuite_property: Callable[[str, object], None]
):
    traffic, started = Traffic(served), time.monotonic()
    asking = [asyncio.create_task(traffic.ask(stream=bool(at % 2))) for at in range(WORKERS)]
    root = f"{served.admin}/admin/v1/adapters/support"
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(headers=headers, timeout=120) as admin:
        for number in range(1, SWITCHES + 1):
            source = str(served.tellings[number % 2].path)
            loaded = await admin.post(f"{root}/load", json={"source": source})
            assert loaded.status_code == 200, loaded.text
            traffic.begun = number
            promoted = await admin.post(f"{root}/promote")
            traffic.acknowledged = number
            assert promoted.status_code == 200, promoted.text
            assert await traffic.says() == traffic.expected(number)
    traffic.is_over = True
    # A request that failed raises here.
    await asyncio.gather(*asking)
    await traffic.close()
    record_testsuite_property("answers beside 200 switches", traffic.answers)
    record_testsuite_property("seconds for 200 switches", round(time.monotonic() - started, 1))
    assert traffic.wrong == []
    assert traffic.strict > SWITCHES
    await _only_one_is_left(served)


async def _only_one_is_left(served: Served) -> None:
    """Look into vLLM itself, on its private socket: the old version is gone from it."""
    base = next(
        Path(command[command.index("--uds") + 1])
        for process in psutil.Process(served.guard.process.pid).children()
        if "--uds" in (command := process.cmdline())
    )
    transport = httpx.AsyncHTTPTransport(uds=str(base))
    async with httpx.AsyncClient(transport=transport, base_url="http://engine") as engine:
        async with asyncio.timeout(30):
            while True:
                models = (await engine.get("/v1/models")).json()["data"]
                names = [model["id"] for model in models if model["id"].startswith("support@")]
                if len(names) == 1:
                    return
                await asyncio.sleep(0.2)


async def test_an_edit_of_guard_yaml_switches_and_a_bad_one_does_not(served: Served):
    traffic, path = Traffic(served), served.home / "guard.yaml"
    content = yaml.safe_load(path.read_text())
    (wanted,) = {0, 1} - {served.versions.index((await traffic.says())[0])}

    def edit(source: str) -> None:
        content["adapters"] = [{"name": "support", "source": source}]
        path.write_text(yaml.safe_dump(content))

    edit(str(served.home / "nowhere"))
    async with asyncio.timeout(30):
        while served.guard.status() and not _state(served)["config"]["reason"]:  # noqa: ASYNC110 - what an operator sees is polled, too
            await asyncio.sleep(0.1)
    assert _state(served)["config"]["reason"] == "source"
    assert await traffic.says() == traffic.expected(1 - wanted)
    edit(str(served.tellings[wanted].path))
    async with asyncio.timeout(30):
        while await traffic.says() != traffic.expected(wanted):  # noqa: ASYNC110 - what an operator sees is polled, too
            await asyncio.sleep(0.1)
    await traffic.close()


def _state(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{served.guard.url}/readyz").json()
    return found


async def test_a_killed_engine_comes_back_with_the_version_that_was_loaded_while_it_ran(served: Served):
    traffic = Traffic(served)
    before = await traffic.says()
    (engine,) = [
        one for one in psutil.Process(served.guard.process.pid).children() if "--uds" in one.cmdline()
    ]
    engine.kill()
    served.guard.wait_until(503, 30)
    served.guard.wait_until(200, START_S)
    assert await traffic.says() == before
    await traffic.close()
