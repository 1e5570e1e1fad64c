from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.channel import Channel
from guard_server.engine.fake import FakeEngine
from guard_server.engine.vllm import VllmEngine
from guard_server.errors import BadRequestError, EngineUnavailableError
from guard_server.settings import GuardConfig
from tests.guard_server.conftest import label_reply, serving

CHAT = "/v1/chat/completions"
SECRET = "the prompt was hunter2"


def body(model: str, *, stream: bool = False) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream}


@asynccontextmanager
async def vllm_that_says(status: int, text: str = "") -> AsyncIterator[VllmEngine]:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(status=status, text=text)

    async with RawTestServer(answer) as server:
        channel = Channel(str(server.make_url("")))
        yield VllmEngine.of_links({"m": channel})
        await channel.cut()


@pytest.mark.parametrize("model", ["support", "support-chat", "writer", "writer-chat"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "reply", [{}, {"choices": [{"index": 0}], "usage": {}}, {"choices": None, "usage": None}]
)
async def test_an_unreadable_answer_is_a_503(config: GuardConfig, model: str, stream: bool, reply: Payload):
    class Odd(FakeEngine):
        async def stream(self, endpoint: Endpoint, payload: Payload):
            yield [reply]

    async with serving(config, Odd(lambda *_: reply)) as http:
        found = await http.post(CHAT, json=body(model, stream=stream))
    assert found.status_code == 503
    assert found.json()["error"]["code"] == "engine_unavailable"


async def test_an_answer_without_every_labels_log_probability_is_a_503(config: GuardConfig):
    engine = FakeEngine(lambda endpoint, payload: label_reply(endpoint, payload, logprobs={2: -1.0}))
    async with serving(config, engine) as http:
        assert (await http.post(CHAT, json=body("support"))).status_code == 503


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unexpected_error_is_a_500_that_tells_and_logs_nothing(
    config: GuardConfig, capfd: pytest.CaptureFixture[str], stream: bool
):
    def fails(endpoint: Endpoint, payload: Payload) -> Payload:
        raise RuntimeError(SECRET)

    async with serving(config, FakeEngine(fails)) as http:
        reply = await http.post(CHAT, json=body("writer", stream=stream))
        assert "p2p_guard_requests_in_flight 0.0" in (await http.get("/metrics")).text
    assert reply.status_code == 500
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert reply.headers["x-request-id"]
    assert SECRET not in reply.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (500, SECRET, EngineUnavailableError),
        (404, SECRET, EngineUnavailableError),
        (401, SECRET, EngineUnavailableError),
        (307, SECRET, EngineUnavailableError),
        (400, SECRET, BadRequestError),
        (200, "<html>", EngineUnavailableError),
        (200, "[]", EngineUnavailableError),
    ],
)
async def test_what_vllm_says_is_an_error_without_its_words(status: int, text: str, error: type[Exception]):
    async with vllm_that_says(status, text) as engine:
        with pytest.raises(error) as caught:
            await engine.complete(Endpoint.CHAT, {"model": "m"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", 'data: {"choices": []}\n\n', "data: {broken\n\n", 'data: {"error": {"message": "x"}}\n\n']
)
async def test_a_stream_without_its_end_is_an_error(text: str):
    async with vllm_that_says(200, text) as engine:
        with pytest.raises(EngineUnavailableError):
            _ = [chunk async for chunk in engine.stream(Endpoint.CHAT, {"model": "m"})]


async def test_chunks_that_come_together_stay_together_and_a_stream_ends_at_done():
    two = 'data: {"choices": []}\n\ndata: {"usage": {}}\n\n'
    async with vllm_that_says(200, two + "data: [DONE]\n\ndata: {broken\n\n") as engine:
        assert [chunk async for chunk in engine.stream(Endpoint.CHAT, {"model": "m"})] == [
            [{"choices": []}, {"usage": {}}]
        ]


@pytest.mark.parametrize("failure", ["data: {broken\n\n", 'data: {"error": {"message": "x"}}\n\n'])
async def test_what_came_with_a_failure_is_given_before_it(failure: str):
    async with vllm_that_says(200, f'data: {{"choices": []}}\n\n{failure}data: [DONE]\n\n') as engine:
        answer = engine.stream(Endpoint.CHAT, {"model": "m"})
        assert await anext(answer) == [{"choices": []}]
        with pytest.raises(EngineUnavailableError):
            await anext(answer)
