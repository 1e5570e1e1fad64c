import httpx
import pytest

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.engine.vllm import VllmEngine
from guard_server.errors import BadRequestError, EngineUnavailableError
from guard_server.settings import GuardConfig
from tests.guard_server.conftest import label_reply, serving

CHAT = "/v1/chat/completions"
SECRET = "the prompt was hunter2"


def body(model: str, *, stream: bool = False) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream}


def vllm_that_says(reply: httpx.Response) -> VllmEngine:
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: reply), base_url="http://engine")
    return VllmEngine.of_clients({"m": client})


@pytest.mark.parametrize("model", ["support", "support-chat", "writer", "writer-chat"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "reply", [{}, {"choices": [{"index": 0}], "usage": {}}, {"choices": None, "usage": None}]
)
async def test_an_unreadable_answer_is_a_503(config: GuardConfig, model: str, stream: bool, reply: Payload):
    class Odd(FakeEngine):
        async def stream(self, endpoint: Endpoint, payload: Payload):
            yield reply

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
    ("reply", "error"),
    [
        (httpx.Response(500), EngineUnavailableError),
        (httpx.Response(404), EngineUnavailableError),
        (httpx.Response(401), EngineUnavailableError),
        (httpx.Response(400, text=SECRET), BadRequestError),
        (httpx.Response(200, text="<html>"), EngineUnavailableError),
        (httpx.Response(200, text="[]"), EngineUnavailableError),
    ],
)
async def test_what_vllm_says_is_an_error_without_its_words(reply: httpx.Response, error: type[Exception]):
    with pytest.raises(error) as caught:
        await vllm_that_says(reply).complete(Endpoint.CHAT, {"model": "m"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", 'data: {"choices": []}\n\n', "data: {broken\n\n", 'data: {"error": {"message": "x"}}\n\n']
)
async def test_a_stream_without_its_end_is_an_error(text: str):
    engine = vllm_that_says(httpx.Response(200, text=text))
    with pytest.raises(EngineUnavailableError):
        _ = [chunk async for chunk in engine.stream(Endpoint.CHAT, {"model": "m"})]


async def test_a_stream_ends_at_done():
    engine = vllm_that_says(httpx.Response(200, text='data: {"choices": []}\n\ndata: [DONE]\n\n'))
    assert [chunk async for chunk in engine.stream(Endpoint.CHAT, {"model": "m"})] == [{"choices": []}]
