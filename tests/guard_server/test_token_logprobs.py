import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_server.answers import TokenLogprob
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from guard_server.token_logprobs import TokenQueue
from tests.guard_server.conftest import is_forced, serving, text_reply

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
TOKENS = ("\n", "Hel", "lo", " there", ".", "<end>", "<|im_end|>")
MODELS = ["writer", "writer-chat"]


def with_tokens(endpoint: Endpoint, payload: Payload) -> Payload:
    """An answer with its tokens' log-probabilities, shaped as vLLM 0.32 writes them; the last token is no text."""
    assert is_forced(payload)
    whole = text_reply(endpoint, payload, "".join(TOKENS[:-1]))
    values = {token: -float(at) for at, token in enumerate(TOKENS)}
    if endpoint is Endpoint.CHAT:
        said: Payload = {"content": [chat_entry(token, value) for token, value in values.items()]}
    else:
        tops = [{token: value, "other": -0.5} for token, value in values.items()]
        said = {"tokens": [*values], "token_logprobs": [*values.values()], "top_logprobs": tops}
    for choice in whole["choices"]:
        choice["logprobs"] = said
    return whole


def chat_entry(token: str, value: float) -> Payload:
    tops = [{"token": token, "logprob": value}, {"token": "other", "logprob": -0.5}]
    return {"token": token, "logprob": value, "top_logprobs": tops}


def chat_body(model: str, **more: object) -> dict[str, object]:
    asked = {"messages": [{"role": "user", "content": "hi"}], "logprobs": True, "top_logprobs": 1}
    return {"model": model, **asked, **more}


def frames(reply: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in reply.text.split("\n\n") if line.startswith("data: {")]


@pytest.mark.parametrize("model", MODELS)
async def test_the_tokens_of_the_answer_are_told_and_no_others(config: GuardConfig, model: str):
    """Neither the blank line in front, nor the end marker, nor the end-of-turn token is in the answer."""
    async with serving(config, FakeEngine(with_tokens)) as http:
        choice = (await http.post(CHAT, json=chat_body(model))).json()["choices"][0]
    assert choice["message"]["content"] == "Hello there."
    entries = choice["logprobs"]["content"]
    assert [(entry["token"], entry["logprob"]) for entry in entries] == [
        ("Hel", -1),
        ("lo", -2),
        (" there", -3),
        (".", -4),
    ]
    assert [top["token"] for top in entries[0]["top_logprobs"]] == ["other"]
    assert bytes(entries[2]["bytes"]).decode() == " there"


async def test_the_older_route_tells_them_in_its_own_shape(config: GuardConfig):
    async with serving(config, FakeEngine(with_tokens)) as http:
        body = {"model": "writer", "prompt": "hi", "logprobs": 1}
        said = (await http.post(COMPLETIONS, json=body)).json()["choices"][0]["logprobs"]
    assert said["tokens"] == ["Hel", "lo", " there", "."]
    assert said["token_logprobs"] == [-1, -2, -3, -4]
    assert said["text_offset"] == [0, 3, 5, 11]
    assert said["top_logprobs"][0] == {"other": -0.5, "Hel": -1.0}


@pytest.mark.parametrize(
    ("model", "top", "sent"),
    [
        ("writer", 3, {"logprobs": 3}),
        ("writer-chat", 3, {"logprobs": True, "top_logprobs": 4}),
        ("writer-chat", 20, {"logprobs": True, "top_logprobs": 20}),
        ("writer-chat", 0, {"logprobs": True, "top_logprobs": 0}),
    ],
)
async def test_the_engine_is_asked_for_enough(
    config: GuardConfig, model: str, top: int, sent: dict[str, object]
):
    engine = FakeEngine(with_tokens)
    async with serving(config, engine) as http:
        await http.post(CHAT, json=chat_body(model, top_logprobs=top))
    assert {name: engine.asked[0].get(name) for name in sent} == sent


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_tells_the_same_tokens_text_and_usage(config: GuardConfig, model: str, n: int):
    async with serving(config, FakeEngine(with_tokens)) as http:
        whole = (await http.post(CHAT, json=chat_body(model, n=n))).json()
        options = {"stream": True, "stream_options": {"include_usage": True}}
        found = frames(await http.post(CHAT, json=chat_body(model, n=n, **options)))
    choices = [choice for frame in found for choice in frame["choices"]]
    for expected in whole["choices"]:
        own = [choice for choice in choices if choice["index"] == expected["index"]]
        text = "".join(choice["delta"].get("content", "") for choice in own)
        tokens = [entry for choice in own for entry in (choice.get("logprobs") or {"content": []})["content"]]
        assert (text, tokens) == (expected["message"]["content"], expected["logprobs"]["content"])
        assert own[-1]["finish_reason"] == expected["finish_reason"]
    assert found[-1]["usage"] == whole["usage"]
    assert all(frame["usage"] is None for frame in found[:-1])


def queued(text: list[str], tokens: list[list[str]], released: list[int]) -> list[str]:
    """The tokens that come out when text and tokens came in these pieces, and this much was let out after each."""
    queue = TokenQueue()
    found: list[TokenLogprob] = []
    for piece, names, end in zip(text, tokens, released, strict=True):
        queue.feed(piece, [TokenLogprob(name, 0.0, ()) for name in names])
        found += queue.take(0, end)
    queue.finish()
    found += queue.take(0, sum(map(len, text)))
    return [token.token for token in found]


@settings(deadline=None)
@given(data=st.data(), tokens=st.lists(st.sampled_from(["a", " b", "\n", "", "cd ", "é"]), max_size=8))
def test_the_same_tokens_come_out_however_they_came_in(data: st.DataObject, tokens: list[str]):
    text = "".join(tokens)
    size = data.draw(st.integers(1, 4))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=size - 1, max_size=size - 1)))
    marks = sorted(data.draw(st.lists(st.integers(0, len(tokens)), min_size=size - 1, max_size=size - 1)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    groups = [tokens[start:end] for start, end in zip([0, *marks], [*marks, len(tokens)], strict=True)]
    ends = [sum(map(len, pieces[: at + 1])) for at in range(size)]
    assert queued(pieces, groups, ends) == queued([text], [tokens], [len(text)])


def test_a_blank_that_a_decoder_drops_does_not_shift_the_tokens():
    # As vLLM decodes one token of a SentencePiece vocabulary: "Hello there" is Hello and there.
    assert queued(["Hello there</s>"[:11]], [["Hello", "there", "</s>"]], [11]) == ["Hello", "there"]


def test_a_token_that_a_stop_text_cut_off_is_told():
    assert queued(["Hello the"], [["Hello", " there."]], [9]) == ["Hello", " there."]
