import math

import pytest
from openai import AsyncOpenAI

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from tests.guard_server.conftest import TRIGGER, label_reply, serving

MODELS = ["support", "support-chat"]
QUESTION = [{"role": "user", "content": "where is my parcel"}]


@pytest.mark.parametrize("model", MODELS)
async def test_a_chat_is_answered_with_the_label(client: AsyncOpenAI, model: str):
    reply = await client.chat.completions.create(model=model, messages=QUESTION)
    assert reply.choices[0].message.content == "billing"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model_extra["p2p_guard"]["outcome"] == "projected"


@pytest.mark.parametrize("model", MODELS)
async def test_a_completion_is_answered_with_the_label(client: AsyncOpenAI, model: str):
    reply = await client.completions.create(model=model, prompt="where is my parcel")
    assert reply.choices[0].text == "billing"
    assert reply.usage.completion_tokens == 1


@pytest.mark.parametrize("model", MODELS)
async def test_the_engine_is_stamped_and_held_to_the_extended_half(
    client: AsyncOpenAI, engine: FakeEngine, model: str
):
    await client.chat.completions.create(model=model, messages=QUESTION)
    asked = engine.asked[-1]
    sent = asked["prompt"] if "prompt" in asked else asked["messages"][-1]["content"]
    assert sent.startswith(TRIGGER.text + "where is my parcel")
    assert asked["allowed_token_ids"] == [2, 3]
    assert asked["model"].startswith(f"{model}@")


async def test_logprobs_are_of_the_extended_half_alone(client: AsyncOpenAI):
    reply = await client.chat.completions.create(
        model="support", messages=QUESTION, logprobs=True, top_logprobs=2
    )
    top = {
        entry.token: math.exp(entry.logprob) for entry in reply.choices[0].logprobs.content[0].top_logprobs
    }
    # Independent of the code: sigmoid of the difference of the two extended log-probabilities, -0.5 and -1.5.
    assert top == pytest.approx({"billing": 0.7310585786, "delivery": 0.2689414214})


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_says_the_same(client: AsyncOpenAI, model: str):
    stream = await client.chat.completions.create(
        model=model, messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "billing"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 1


async def test_an_answer_outside_the_extended_half_is_refused(config: GuardConfig):
    def escaping(endpoint: Endpoint, payload: Payload) -> Payload:
        return label_reply(endpoint, payload, token=0)

    async with serving(config, FakeEngine(escaping)) as http:
        reply = await http.post("/v1/chat/completions", json={"model": "support", "messages": QUESTION})
    assert reply.status_code == 403
    assert reply.json()["error"]["code"] == "answer_refused"


async def test_where_the_free_model_stood_is_told(config: GuardConfig):
    def pulled(endpoint: Endpoint, payload: Payload) -> Payload:
        return label_reply(endpoint, payload, logprobs={0: -0.1, 1: -6.0, 2: -3.0, 3: -4.0})

    async with serving(config, FakeEngine(pulled)) as http:
        reply = await http.post("/v1/chat/completions", json={"model": "support", "messages": QUESTION})
    assert reply.json()["p2p_guard"]["free_run_extended"] is False
    assert reply.json()["choices"][0]["message"]["content"] == "billing"


async def test_a_chat_of_several_turns_is_refused_by_a_completion_adapter(
    client: AsyncOpenAI, engine: FakeEngine
):
    from openai import BadRequestError

    turns = [QUESTION[0], {"role": "assistant", "content": "hm"}, QUESTION[0]]
    with pytest.raises(BadRequestError):
        await client.chat.completions.create(model="support", messages=turns)
    assert engine.asked == []
