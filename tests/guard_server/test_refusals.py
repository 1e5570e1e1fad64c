import httpx
import openai
import pytest
from openai import AsyncOpenAI

from guard_server.engine.fake import FakeEngine
from tests.guard_server.conftest import PREFIX, TRIGGER

CHAT = "/v1/chat/completions"
BODY = {"model": "support", "messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chat_template", "{{ messages }}"),
        ("prompt_embeds", "AAAA"),
        ("echo", True),
        ("prompt_logprobs", 1),
        ("continue_final_message", True),
        ("return_token_ids", True),
        ("logit_bias", {"0": 100}),
        ("allowed_token_ids", [0]),
        ("add_generation_prompt", False),
        ("tools", []),
        ("response_format", {"type": "json_object"}),
        ("functions", []),
        ("top_logprobs", 2),
        ("stream_options", {"include_usage": True}),
        ("repetition_penalty", 1.5),
    ],
)
async def test_what_could_step_round_the_stamp_is_refused_by_name(
    http, engine: FakeEngine, name: str, value: object
):
    reply = await http.post(CHAT, json=BODY | {name: value})
    assert reply.status_code == 400
    assert name in reply.json()["error"]["message"]
    assert engine.asked == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"model": "support", "model": "other", "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "support", "temperature": NaN, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "support", "messages": []}',
        b'{"model": "support", "messages": [{"role": "assistant", "content": "x"}]}',
        b'{"model": "support", "messages": [{"role": "tool", "content": "x"}]}',
        b'{"model": "support", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}',
        b'{"model": "support", "n": 99, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "support", "max_tokens": 0, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "writer", "temperature": true, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "writer", "temperature": "0.5", "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "writer", "seed": 1000000000000000000000, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "writer", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "writer", "\\ud800": 1, "messages": [{"role": "user", "content": "x"}]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
async def test_a_faulty_body_is_a_400_in_openais_shape(
    http: httpx.AsyncClient, engine: FakeEngine, body: bytes
):
    reply = await http.post(CHAT, content=body)
    assert reply.status_code == 400
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert engine.asked == []


async def test_token_ids_as_prompt_are_refused(http: httpx.AsyncClient, engine: FakeEngine):
    reply = await http.post("/v1/completions", json={"model": "support", "prompt": [1, 2, 3]})
    assert reply.status_code == 400
    assert engine.asked == []


async def test_a_body_over_the_limit_is_a_413(http: httpx.AsyncClient):
    reply = await http.post(CHAT, content=b"x" * 1_000_001)
    assert reply.status_code == 413


async def test_an_unknown_model_is_not_found(client: AsyncOpenAI):
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(**BODY | {"model": "base"})


async def test_the_engines_own_name_of_an_adapter_is_not_a_model(client: AsyncOpenAI, engine: FakeEngine):
    await client.chat.completions.create(**BODY)
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(**BODY | {"model": engine.asked[-1]["model"]})


async def test_a_wrong_key_is_an_authentication_error(http: httpx.AsyncClient):
    async with AsyncOpenAI(
        base_url="http://guard/v1", api_key="wrong", http_client=http, max_retries=0
    ) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/openapi.json",
        "/tokenize",
        "/v1/embeddings",
        "/v1/load_lora_adapter",
        "/livez/",
        "/v1/chat/completions/",
    ],
)
async def test_any_other_path_is_404(http: httpx.AsyncClient, path: str):
    reply = await http.get(path)
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "not_found"


async def test_health_needs_no_key_and_the_rest_does(http: httpx.AsyncClient):
    bare = {"authorization": ""}
    assert (await http.get("/livez", headers=bare)).status_code == 200
    assert (await http.get("/readyz", headers=bare)).status_code == 503
    for path in ("/metrics", "/v1/models", "/nothing"):
        assert (await http.get(path, headers=bare)).status_code == 401


async def test_models_lists_the_adapters_alone(client: AsyncOpenAI):
    listed = [model.id async for model in await client.models.list()]
    assert listed == ["support", "support-chat", "writer", "writer-chat"]


async def test_requests_are_counted_by_outcome(http: httpx.AsyncClient):
    await http.post(CHAT, json=BODY)
    await http.post(CHAT, json=BODY | {"model": "nobody"})
    text = (await http.get("/metrics")).text
    assert 'p2p_guard_requests_total{adapter="support",endpoint="chat",outcome="projected"} 1.0' in text
    assert 'p2p_guard_requests_total{adapter="unknown",endpoint="chat",outcome="error"} 1.0' in text


async def test_secrets_are_in_no_response(http: httpx.AsyncClient):
    replies = [
        await http.post(CHAT, json=BODY),
        await http.post(CHAT, json=BODY | {"model": "writer"}),
        await http.post(CHAT, json=BODY | {"model": "writer", "stream": True}),
        await http.post(CHAT, json=BODY | {"echo": True}),
        await http.get("/v1/models"),
        await http.get("/metrics"),
    ]
    for reply in replies:
        assert TRIGGER.text.strip() not in reply.text + str(reply.headers)
        assert PREFIX.strip() not in reply.text + str(reply.headers)
