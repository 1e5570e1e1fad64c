"""Every limit of the configuration, on the whole guard: what is over it is told so, and the engine hears nothing of it."""

import asyncio
import json
from typing import Any

import pytest

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from tests.bypasses import request
from tests.guard_server.conftest import KEY, answer_by_task, listening, serving
from tests.raw_http import exchange

CHAT = "/v1/chat/completions"
TURN = {"role": "user", "content": "hello"}


def limited(config: GuardConfig, **limits: Any) -> GuardConfig:
    return config.model_copy(update={"limits": config.limits.model_copy(update=limits)})


@pytest.mark.parametrize(
    ("limit", "body", "named"),
    [
        ({"messages": 2}, {"messages": [TURN] * 3}, "messages"),
        ({"n": 2}, {"n": 3}, "n"),
        ({"max_tokens": 10}, {"max_tokens": 11}, "max_tokens"),
        ({"max_tokens": 10}, {"max_completion_tokens": 11}, "max_tokens"),
    ],
)
async def test_a_request_over_a_limit_is_a_400_that_names_it(
    config: GuardConfig, engine: FakeEngine, limit: dict[str, int], body: dict[str, Any], named: str
):
    asked = {"model": "writer", "messages": [TURN]} | body
    async with serving(limited(config, **limit), engine) as http:
        reply = await http.post(CHAT, json=asked)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == named
    assert engine.asked == []


async def test_a_body_over_the_limit_is_a_413(config: GuardConfig, engine: FakeEngine):
    asked = {"model": "writer", "messages": [{"role": "user", "content": "x" * 2000}]}
    async with serving(limited(config, body_bytes=1000), engine) as http:
        reply = await http.post(CHAT, json=asked)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")
    assert engine.asked == []


async def test_a_key_that_asks_too_often_is_a_429_with_its_wait(config: GuardConfig, engine: FakeEngine):
    async with serving(limited(config, rate_per_key=0.1, burst=2), engine) as http:
        replies = [await http.post(CHAT, json={"model": "writer", "messages": [TURN]}) for _ in range(3)]
        shown = (await http.get("/metrics")).text
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert 9 <= int(replies[2].headers["retry-after"]) <= 10
    assert 'p2p_guard_rate_limited_total{limit="rate"} 1.0' in shown
    assert len(engine.asked) == 2


async def test_more_requests_at_once_are_a_429_and_their_bodies_are_not_read(config: GuardConfig):
    inside, leave = asyncio.Event(), asyncio.Event()

    class Slow(FakeEngine):
        async def complete(self, endpoint: Endpoint, payload: Payload) -> Payload:
            # The guard's own question at its start is let through.
            if "hello" in str(payload):
                inside.set()
                await leave.wait()
            return await super().complete(endpoint, payload)

    raw = request(json.dumps({"model": "support", "messages": [TURN]}).encode())
    raw = raw.replace(b"{key}", f"authorization: Bearer {KEY}\r\n".encode())
    async with listening(limited(config, in_flight=1), Slow(answer_by_task)) as port:
        first = asyncio.create_task(exchange(port, raw))
        await inside.wait()
        # Of the second request only the head has come.
        (second,) = await exchange(port, raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        leave.set()
        assert [answer.status for answer in await first] == [200]
    assert second.status == 429
    assert b"retry-after: 1" in second.raw


async def test_an_upload_that_stops_is_a_408_and_gives_its_place_back(
    config: GuardConfig, engine: FakeEngine
):
    raw = request(b"{", head="content-length: 50\r\n").replace(
        b"{key}", f"authorization: Bearer {KEY}\r\n".encode()
    )
    async with listening(limited(config, upload_s=0.1, in_flight=1), engine) as port:
        statuses = [answer.status for _ in range(2) for answer in await exchange(port, raw)]
    assert statuses == [408, 408]
