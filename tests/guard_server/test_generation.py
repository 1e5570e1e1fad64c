import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.errors import EngineUnavailableError
from guard_server.settings import GuardConfig
from tests.guard_server.conftest import PREFIX, TRIGGER, is_forced, serving, text_reply

MODELS = ["writer", "writer-chat"]
QUESTION = [{"role": "user", "content": "say hello"}]


def escapes_until_forced(endpoint: Endpoint, payload: Payload) -> Payload:
    return text_reply(endpoint, payload, "safe" if is_forced(payload) else "attacker's reply")


async def streamed_text(http: httpx.AsyncClient, model: str, **more: object) -> str:
    client = AsyncOpenAI(base_url="http://guard/v1", api_key="test-key", http_client=http, max_retries=0)
    stream = await client.chat.completions.create(model=model, messages=QUESTION, stream=True, **more)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


@pytest.mark.parametrize("model", MODELS)
async def test_the_prefix_and_what_is_left_over_are_removed(client: AsyncOpenAI, model: str):
    reply = await client.chat.completions.create(model=model, messages=QUESTION)
    assert reply.choices[0].message.content == "Hello there."
    assert reply.usage.completion_tokens == 20 - 6


@pytest.mark.parametrize("model", MODELS)
async def test_max_tokens_buys_answer_tokens(client: AsyncOpenAI, engine: FakeEngine, model: str):
    await client.chat.completions.create(model=model, messages=QUESTION, max_tokens=10)
    assert engine.asked[-1]["max_tokens"] == 16


@pytest.mark.parametrize("model", MODELS)
async def test_an_escape_is_asked_again_with_the_prefix_forced(config: GuardConfig, model: str):
    engine = FakeEngine(escapes_until_forced)
    async with serving(config, engine) as http:
        reply = await http.post(
            "/v1/chat/completions", json={"model": model, "messages": QUESTION, "max_tokens": 10}
        )
    assert reply.json()["choices"][0]["message"]["content"] == "safe"
    assert reply.headers["x-p2p-guard-outcome"] == "retried"
    assert engine.asked[-1]["max_tokens"] == 10


@pytest.mark.parametrize("model", MODELS)
async def test_an_escape_in_a_stream_never_leaves(config: GuardConfig, model: str):
    async with serving(config, FakeEngine(escapes_until_forced)) as http:
        assert await streamed_text(http, model) == "safe"


@pytest.mark.parametrize("model", MODELS)
async def test_a_stop_text_inside_the_prefix_does_not_end_it(
    client: AsyncOpenAI, engine: FakeEngine, model: str
):
    await client.chat.completions.create(model=model, messages=QUESTION, stop="\n")
    assert is_forced(engine.asked[-1])


@pytest.mark.parametrize("model", MODELS)
async def test_stop_texts_do_not_tell_what_the_prefix_is(http: httpx.AsyncClient, model: str):
    """The same account for a stop text that occurs in the prefix and one that does not."""
    accounts = []
    for stop in (PREFIX[:8], "zzz"):
        body = {"model": model, "messages": QUESTION, "stop": stop}
        reply = await http.post("/v1/chat/completions", json=body)
        accounts.append(
            (reply.headers["x-p2p-guard-outcome"], reply.json()["p2p_guard"], reply.json()["usage"])
        )
    assert accounts[0] == accounts[1]
    assert accounts[0][0] == "projected"


async def test_a_forced_prefix_is_not_on_the_clients_bill(http: httpx.AsyncClient):
    body = {"model": "writer", "messages": QUESTION, "stop": "zzz"}
    usage = (await http.post("/v1/chat/completions", json=body)).json()["usage"]
    assert usage == {"prompt_tokens": 9 - 6, "completion_tokens": 20, "total_tokens": 23}


async def test_a_budget_that_is_not_named_is_openais_or_the_settings(client: AsyncOpenAI, engine: FakeEngine):
    """Left to itself, vLLM's completions route would end an answer after 16 tokens, the prefix among them."""
    await client.completions.create(model="writer", prompt="hello")
    await client.completions.create(model="writer-chat", prompt="hello")
    await client.chat.completions.create(model="writer", messages=QUESTION)
    await client.chat.completions.create(model="writer-chat", messages=QUESTION)
    assert [asked.get("max_tokens") for asked in engine.asked] == [16 + 6, 16 + 6, 256 + 6, None]


@pytest.mark.parametrize("stream", [False, True])
async def test_every_choice_of_a_retry_comes_from_the_forced_run(config: GuardConfig, stream: bool):
    def one_escapes(endpoint: Endpoint, payload: Payload) -> Payload:
        whole = text_reply(endpoint, payload, "safe" if is_forced(payload) else PREFIX + "free")
        whole["choices"][1]["text"] = "safe" if is_forced(payload) else "attacker's reply"
        return whole

    async with serving(config, FakeEngine(one_escapes)) as http:
        body = {"model": "writer", "messages": QUESTION, "n": 2, "stream": stream}
        reply = await http.post("/v1/chat/completions", json=body)
    assert reply.text.count("safe") == 2 or reply.text.count('"content":"s"') == 2
    assert "attacker" not in reply.text
    assert "free" not in reply.text.replace("free_run_extended", "")


@pytest.mark.parametrize("stream", [False, True])
async def test_several_choices_are_asked_alike_whole_and_streamed(
    client: AsyncOpenAI, engine: FakeEngine, stream: bool
):
    """Asked in two ways, one seed would give two answers."""
    await client.chat.completions.create(model="writer", messages=QUESTION, n=2, seed=1, stream=stream)
    assert [is_forced(asked) for asked in engine.asked] == [True]


@pytest.mark.parametrize("reason", ["abort", "error"])
async def test_an_answer_that_the_engine_broke_off_is_none(config: GuardConfig, reason: str):
    def breaks_off(endpoint: Endpoint, payload: Payload) -> Payload:
        whole = text_reply(endpoint, payload, PREFIX + "half an ans")
        whole["choices"][0]["finish_reason"] = reason
        return whole

    async with serving(config, FakeEngine(breaks_off)) as http:
        reply = await http.post("/v1/chat/completions", json={"model": "writer", "messages": QUESTION})
    assert reply.status_code == 503


async def test_an_engine_that_fails_in_a_stream_ends_it_with_an_error_frame(config: GuardConfig):
    class Breaking(FakeEngine):
        async def stream(self, endpoint: Endpoint, payload: Payload):
            yield [{"choices": [{"index": 0, "text": PREFIX + "Hello there", "finish_reason": None}]}]
            raise EngineUnavailableError("the engine failed")

    async with serving(config, Breaking(escapes_until_forced)) as http:
        body = {"model": "writer", "messages": QUESTION, "stream": True}
        frames = (await http.post("/v1/chat/completions", json=body)).text.strip().split("\n\n")
    assert "engine_unavailable" in frames[-1]
    assert "[DONE]" not in frames


async def test_the_system_message_of_the_client_is_kept(client: AsyncOpenAI, engine: FakeEngine):
    chat = [
        {"role": "system", "content": "Be brief."},
        *QUESTION,
        {"role": "assistant", "content": "hi"},
        *QUESTION,
    ]
    await client.chat.completions.create(model="writer-chat", messages=chat)
    sent = engine.asked[-1]["messages"]
    assert [turn["content"] for turn in sent] == ["Be brief.", "say hello", "hi", TRIGGER.text + "say hello"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    answer=st.text("ab \n<end>", max_size=30),
    cuts=st.lists(st.integers(1, 6), min_size=1),
    n=st.integers(1, 3),
)
async def test_a_stream_equals_the_whole_answer_however_it_is_cut(
    config: GuardConfig, answer: str, cuts: list[int], n: int
):
    def pieces(text: str) -> list[str]:
        found, start = [], 0
        for size in cuts * (len(text) + 1):
            if start >= len(text):
                break
            found.append(text[start : start + size])
            start += size
        return found

    def says(endpoint: Endpoint, payload: Payload) -> Payload:
        return text_reply(endpoint, payload, answer if is_forced(payload) else PREFIX + answer)

    async with serving(config, FakeEngine(says, pieces)) as http:
        whole = await http.post("/v1/chat/completions", json={"model": "writer", "messages": QUESTION})
        texts = await streamed_text(http, "writer", n=n)
    assert texts == whole.json()["choices"][0]["message"]["content"] * n
