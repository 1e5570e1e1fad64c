import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.settings import EscapePolicy, GuardConfig
from tests.guard_server.conftest import PREFIX, answer_by_task, is_forced, serving, text_reply

CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "say hello"}]


def body(model: str = "writer", **more: object) -> dict[str, object]:
    return {"model": model, "messages": QUESTION, "stream": True, **more}


def with_policy(config: GuardConfig, policy: EscapePolicy) -> GuardConfig:
    changed = tuple(adapter.model_copy(update={"escape_policy": policy}) for adapter in config.adapters)
    return config.model_copy(update={"adapters": changed})


def escapes_until_forced(endpoint: Endpoint, payload: Payload) -> Payload:
    return text_reply(endpoint, payload, "safe" if is_forced(payload) else "attacker's reply")


def second_choice_escapes(endpoint: Endpoint, payload: Payload) -> Payload:
    whole = text_reply(endpoint, payload, PREFIX + "safe")
    whole["choices"][1]["text"] = "attacker's reply"
    return whole


def frames(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]


async def frames_of(
    config: GuardConfig, engine: FakeEngine, asked: dict[str, object]
) -> list[dict[str, Any]]:
    async with serving(config, engine) as http:
        reply = await http.post(CHAT, json=asked)
    assert reply.text.endswith("data: [DONE]\n\n")
    return frames(reply.text)


def said_in(found: list[dict[str, Any]]) -> dict[int, tuple[str, str]]:
    """Text and finish reason by choice."""
    said: dict[int, tuple[str, str]] = {}
    for choice in (choice for frame in found for choice in frame["choices"]):
        text, _ = said.get(choice["index"], ("", ""))
        said[choice["index"]] = (text + choice["delta"].get("content", ""), choice["finish_reason"])
    return said


@pytest.mark.parametrize(
    ("policy", "outcome"), [(EscapePolicy.RETRY, "retried"), (EscapePolicy.FLAG, "escaped")]
)
async def test_an_escape_in_a_stream_is_told_and_counted(
    config: GuardConfig, policy: EscapePolicy, outcome: str
):
    async with serving(with_policy(config, policy), FakeEngine(escapes_until_forced)) as http:
        reply = await http.post(CHAT, json=body())
        shown = (await http.get("/metrics")).text
    assert reply.headers["x-p2p-guard-outcome"] == outcome
    assert frames(reply.text)[0]["p2p_guard"]["outcome"] == outcome
    assert frames(reply.text)[0]["p2p_guard"]["free_run_extended"] is False
    assert f'adapter="writer",endpoint="chat",outcome="{outcome}"}} 1.0' in shown


async def test_an_escape_in_a_stream_is_refused_where_the_policy_says_so(config: GuardConfig):
    refusing = with_policy(config, EscapePolicy.REFUSE)
    async with serving(refusing, FakeEngine(escapes_until_forced)) as http:
        assert (await http.post(CHAT, json=body())).status_code == 403


async def test_nothing_of_any_choice_leaves_when_a_later_one_is_refused(config: GuardConfig):
    refusing = with_policy(config, EscapePolicy.REFUSE)
    async with serving(refusing, FakeEngine(second_choice_escapes)) as http:
        reply = await http.post(CHAT, json=body(n=2))
    assert reply.status_code == 403
    assert "safe" not in reply.text


async def test_one_escaped_choice_of_a_flagged_stream_makes_its_outcome(config: GuardConfig):
    flagging = with_policy(config, EscapePolicy.FLAG)
    async with serving(flagging, FakeEngine(second_choice_escapes)) as http:
        reply = await http.post(CHAT, json=body(n=2))
    assert reply.headers["x-p2p-guard-outcome"] == "escaped"


@pytest.mark.parametrize("model", ["support", "support-chat", "writer", "writer-chat"])
async def test_a_projected_stream_says_so(http: httpx.AsyncClient, model: str):
    reply = await http.post(CHAT, json=body(model))
    assert reply.headers["x-p2p-guard-outcome"] == "projected"
    assert frames(reply.text)[0]["p2p_guard"]["adapter"] == model
    assert reply.text.endswith("data: [DONE]\n\n")


async def test_a_streamed_label_carries_the_log_probabilities_that_were_asked_for(client: AsyncOpenAI):
    asked = {"model": "support", "messages": QUESTION, "logprobs": True, "top_logprobs": 2}
    whole = await client.chat.completions.create(**asked)
    stream = await client.chat.completions.create(**asked, stream=True)
    found = [chunk.choices[0].logprobs async for chunk in stream if chunk.choices[0].delta.content]
    assert found[0].content[0].top_logprobs == whole.choices[0].logprobs.content[0].top_logprobs


class AtOnce(FakeEngine):
    """All chunks of an answer come together."""

    async def stream(self, endpoint: Endpoint, payload: Payload) -> AsyncGenerator[list[Payload], None]:
        yield [chunk async for chunks in super().stream(endpoint, payload) for chunk in chunks]


@pytest.mark.parametrize("model", ["writer", "writer-chat"])
async def test_what_comes_together_leaves_together_and_says_the_same(config: GuardConfig, model: str):
    asked = body(model, n=2, stream_options={"include_usage": True})
    apart, together = [
        await frames_of(config, engine(answer_by_task), asked) for engine in (FakeEngine, AtOnce)
    ]
    assert said_in(together) == said_in(apart)
    assert together[-1]["usage"] == apart[-1]["usage"]
    # A role, a text and an end for each choice, then the usage.
    assert len(together) == 7 < len(apart)


class Watched(FakeEngine):
    """Counts the streams that run, and never ends one that escaped."""

    def __init__(self) -> None:
        super().__init__(answer_by_task)
        self.running = 0
        self.running_when_forced: int | None = None

    async def stream(self, endpoint: Endpoint, payload: Payload) -> AsyncGenerator[list[Payload], None]:
        if is_forced(payload):
            self.running_when_forced = self.running
        self.running += 1
        try:
            text = "safe" if is_forced(payload) else "attacker's reply"
            yield [{"choices": [{"index": 0, "text": text, "finish_reason": None}]}]
            while not is_forced(payload):
                await asyncio.sleep(0.01)
                yield [{"choices": [{"index": 0, "text": " more", "finish_reason": None}]}]
            yield [{"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}]
        finally:
            self.running -= 1


async def test_an_escaped_stream_is_cancelled_before_the_forced_one_begins(config: GuardConfig):
    engine = Watched()
    async with serving(config, engine) as http:
        await http.post(CHAT, json=body())
    assert engine.running_when_forced == 0
