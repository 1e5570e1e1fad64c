import json

import httpx
import pytest

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from tests.guard_server.conftest import is_forced, serving, text_reply

CHAT = "/v1/chat/completions"
SCHEMA = {"type": "object", "properties": {"city": {"type": ["string", "null"]}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
ANSWER = '{"city": "Rome <end>"}'


def body(model: str = "writer", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "where"}], **more}


def structured(endpoint: Endpoint, payload: Payload) -> Payload:
    assert is_forced(payload)
    return text_reply(endpoint, payload, ANSWER)


@pytest.mark.parametrize("model", ["writer", "writer-chat"])
async def test_the_prefix_is_forced_and_the_grammar_holds_what_follows(config: GuardConfig, model: str):
    engine = FakeEngine(structured)
    async with serving(config, engine) as http:
        reply = await http.post(CHAT, json=body(model, response_format=FORMAT))
    assert json.loads(reply.json()["choices"][0]["message"]["content"]) == {"city": "Rome <end>"}
    assert engine.asked[0]["structured_outputs"] == {"json": SCHEMA}
    assert reply.headers["x-p2p-guard-outcome"] == "projected"


async def test_any_json_object_may_be_asked_for(config: GuardConfig):
    engine = FakeEngine(structured)
    async with serving(config, engine) as http:
        await http.post(CHAT, json=body(response_format={"type": "json_object"}))
    assert engine.asked[0]["structured_outputs"] == {"json_object": True}


async def test_text_is_what_comes_anyway(http: httpx.AsyncClient, engine: FakeEngine):
    for model in ("writer", "support"):
        reply = await http.post(CHAT, json=body(model, response_format={"type": "text"}))
        assert reply.status_code == 200
    assert not any("structured_outputs" in asked for asked in engine.asked)


@pytest.mark.parametrize(
    "more",
    [
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "structural_tag"}},
        {"response_format": FORMAT, "model": "support"},
        {"structured_outputs": {"choice": ["0"]}},
        {"guided_json": SCHEMA},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"maximum": 10**30}},
            }
        },
    ],
)
async def test_other_ways_are_refused(http: httpx.AsyncClient, engine: FakeEngine, more: dict[str, object]):
    reply = await http.post(CHAT, json=body() | more)
    assert reply.status_code == 400
    assert engine.asked == []
