"""Guards before engines that run already: several guards at one engine, one guard at several, and a warning where an engine is open."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from guard_server.adapter import load_adapters
from guard_server.app import create_app
from guard_server.engine.base import Endpoint
from guard_server.engine.fleet import Fleet
from guard_server.settings import GuardConfig
from tests.guard_server.conftest import KEY, TRIGGER, answer_by_task

CHAT = "/v1/chat/completions"
BODY = {"model": "support", "messages": [{"role": "user", "content": "hello"}]}


class Vllm:
    """What a guard needs of vLLM, answering as the fake engine does; ``asked`` has every prompt."""

    def __init__(self, models: list[str]) -> None:
        self.models = models
        self.asked: list[dict[str, object]] = []

    async def answer(self, asked: web.BaseRequest) -> web.Response:
        if asked.method == "GET":
            return web.json_response(
                {"data": [{"id": model} for model in self.models], "paths": {"/invocations": {}}}
            )
        payload = orjson.loads(await asked.read())
        self.asked.append(payload)
        return web.json_response(answer_by_task(Endpoint(asked.path), payload))


@asynccontextmanager
async def guard_before(config: GuardConfig, *engines: Vllm) -> AsyncIterator[httpx.AsyncClient]:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(RawTestServer(engine.answer)) for engine in engines]
        urls = tuple(str(server.make_url("/")) for server in servers)
        yield await stack.enter_async_context(guard_at(config, *urls))


@asynccontextmanager
async def guard_at(config: GuardConfig, *urls: str) -> AsyncIterator[httpx.AsyncClient]:
    config = config.model_copy(update={"engine": config.engine.model_copy(update={"urls": urls})})
    adapters = load_adapters(config)
    app = create_app(
        config, adapters, (hashlib.sha256(KEY.encode()).digest(),), fleet=Fleet(config, adapters.values())
    )
    headers = {"authorization": f"Bearer {KEY}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://guard", headers=headers
        ) as http,
    ):
        async with asyncio.timeout(10):
            while (await http.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - what an operator sees is polled, too
                await asyncio.sleep(0.05)
        yield http


@pytest.fixture
def targets(config: GuardConfig) -> list[str]:
    return [adapter.target for adapter in load_adapters(config).values()]


async def test_two_guards_share_an_engine(config: GuardConfig, targets: list[str]):
    engine = Vllm(targets)
    async with RawTestServer(engine.answer) as server:
        url = str(server.make_url("/"))
        async with guard_at(config, url) as one, guard_at(config, url) as two:
            replies = await asyncio.gather(
                *(http.post(CHAT, json=BODY) for http in (one, two) for _ in range(10))
            )
    assert {reply.json()["choices"][0]["message"]["content"] for reply in replies} == {"billing"}
    assert all(TRIGGER.text in str(payload) for payload in engine.asked)


async def test_a_guard_spreads_requests_over_its_engines(config: GuardConfig, targets: list[str]):
    one, two = Vllm(targets), Vllm(targets)
    async with guard_before(config, one, two) as http:
        one.asked.clear()
        two.asked.clear()
        for _ in range(6):
            assert (await http.post(CHAT, json=BODY)).status_code == 200
        shown = (await http.get("/metrics")).text
    assert (len(one.asked), len(two.asked)) == (3, 3)
    assert 'p2p_guard_engine_url_up{engine="1"} 1.0' in shown


async def test_an_open_engine_is_warned_of_loudly(
    config: GuardConfig, targets: list[str], capfd: pytest.CaptureFixture[str]
):
    async with guard_before(config, Vllm(targets)) as http:
        async with asyncio.timeout(10):
            while 'p2p_guard_engine_exposures{engine="0"} 2.0' not in (await http.get("/metrics")).text:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    said = "".join(capfd.readouterr())
    assert "THE_ENGINE_CAN_BE_REACHED_PAST_THE_GUARD" in said
    assert "answers without a key" in said
    assert "/invocations" in said


@pytest.mark.parametrize(
    "engine",
    [
        {"url": "http://a", "urls": ["http://b"]},
        {"urls": ["http://a", "http://a"]},
        {"url": "vllm:8000"},
        {"urls": ["http://k@a"]},
    ],
)
def test_engines_are_named_once_and_without_keys(engine: dict[str, object]):
    with pytest.raises(ValueError, match="url"):
        GuardConfig.model_validate(
            {"base_model": "m", "adapters": [{"name": "a", "path": "p"}], "engine": engine}
        )
