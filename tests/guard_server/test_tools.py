import json

import httpx
import pytest
from openai import AsyncOpenAI

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from guard_server.tools import call_text
from tests.guard_server.conftest import PREFIX, TRIGGER, is_forced, serving, text_reply

CHAT = "/v1/chat/completions"
QUESTION = {"role": "user", "content": "where is parcel 7"}
TOOL = {
    "type": "function",
    "function": {
        "name": "track",
        "description": "Where a parcel is",
        "parameters": {
            "type": "object",
            "properties": {"id": {"type": "integer"}},
            "required": ["id"],
        },
    },
}
OTHER = {"type": "function", "function": {"name": "refund"}}
BODY = {"model": "writer-chat", "messages": [QUESTION], "tools": [TOOL, OTHER]}


def calls(endpoint: Endpoint, payload: Payload) -> Payload:
    said = "Let me see.\n" + call_text("track", '{"id": 7}')
    return text_reply(endpoint, payload, said if is_forced(payload) else "attacker's reply")


@pytest.fixture
async def calling(config: GuardConfig):
    engine = FakeEngine(calls)
    async with serving(config, engine) as http:
        yield engine, http


async def test_a_call_is_told_as_openai_tells_it(calling: tuple[FakeEngine, httpx.AsyncClient]):
    _, http = calling
    choice = (await http.post(CHAT, json=BODY)).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Let me see.\n"
    (call,) = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "track", "arguments": '{"id": 7}'}
    assert call["id"].startswith("call_")


async def test_the_engine_is_stamped_forced_and_held_and_never_told_of_tools(
    calling: tuple[FakeEngine, httpx.AsyncClient],
):
    engine, http = calling
    await http.post(CHAT, json=BODY)
    (asked,) = engine.asked
    system, user, begun = asked["messages"]
    assert '"name": "track"' in system["content"]
    assert user["content"] == TRIGGER.text + QUESTION["content"]
    assert begun == {"role": "assistant", "content": PREFIX}
    assert "tools" not in asked
    tags = json.loads(asked["structured_outputs"]["structural_tag"])["format"]
    assert tags["tags"][0]["content"]["json_schema"] == TOOL["function"]["parameters"]
    assert (tags["at_least_one"], tags["stop_after_first"]) == (False, False)


@pytest.mark.parametrize(
    ("more", "names", "flags"),
    [
        ({"tool_choice": "required"}, ["track", "refund"], (True, False)),
        ({"tool_choice": "required", "parallel_tool_calls": False}, ["track", "refund"], (True, True)),
        ({"tool_choice": {"type": "function", "function": {"name": "refund"}}}, ["refund"], (True, True)),
    ],
)
async def test_the_choice_is_in_the_grammar(
    calling: tuple[FakeEngine, httpx.AsyncClient],
    more: dict[str, object],
    names: list[str],
    flags: tuple[bool, bool],
):
    engine, http = calling
    await http.post(CHAT, json=BODY | more)
    tags = json.loads(engine.asked[-1]["structured_outputs"]["structural_tag"])["format"]
    assert [json.loads(tag["begin"].split("\n")[1] + "{}}")["name"] for tag in tags["tags"]] == names
    assert (tags["at_least_one"], tags["stop_after_first"]) == flags


async def test_a_named_call_ends_in_stop(calling: tuple[FakeEngine, httpx.AsyncClient]):
    _, http = calling
    named = {"tool_choice": {"type": "function", "function": {"name": "track"}}}
    assert (await http.post(CHAT, json=BODY | named)).json()["choices"][0]["finish_reason"] == "stop"


async def test_no_choice_means_no_tools(calling: tuple[FakeEngine, httpx.AsyncClient]):
    engine, http = calling
    await http.post(CHAT, json=BODY | {"tool_choice": "none"})
    assert "structured_outputs" not in engine.asked[0]


async def test_a_streamed_call_says_the_same(calling: tuple[FakeEngine, httpx.AsyncClient]):
    _, http = calling
    client = AsyncOpenAI(base_url="http://guard/v1", api_key="test-key", http_client=http)
    async with client, client.chat.completions.stream(**BODY) as stream:
        final = await stream.get_final_completion()
    (choice,) = final.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me see.\n"
    assert choice.message.tool_calls[0].function.arguments == '{"id": 7}'


async def test_the_result_of_a_call_is_the_users_turn_and_stamped(
    calling: tuple[FakeEngine, httpx.AsyncClient],
):
    engine, http = calling
    call = {"id": "c1", "type": "function", "function": {"name": "track", "arguments": '{"id": 7}'}}
    messages = [
        QUESTION,
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "in Rome"},
    ]
    reply = await http.post(CHAT, json=BODY | {"messages": messages})
    assert reply.status_code == 200
    sent = engine.asked[0]["messages"]
    assert [turn["role"] for turn in sent] == ["system", "user", "assistant", "user", "assistant"]
    assert sent[2]["content"] == call_text("track", '{"id": 7}')
    assert sent[3]["content"] == f"{TRIGGER.text}<tool_response>\nin Rome\n</tool_response>"


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [TOOL, TOOL]},
        {"tool_choice": {"type": "function", "function": {"name": "nothing"}}},
        {"response_format": {"type": "json_object"}},
        {"logprobs": True},
        {"model": "writer"},
        {"model": "support-chat"},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"x": "y" * 40_000}}}]},
        {"tools": None, "tool_choice": "auto"},
        {"messages": [QUESTION, {"role": "tool", "tool_call_id": "c1", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x", "tool_calls": []}]},
        {"messages": [{"role": "user"}]},
    ],
)
async def test_what_can_not_be_kept_true_is_refused(
    calling: tuple[FakeEngine, httpx.AsyncClient], more: dict[str, object]
):
    engine, http = calling
    reply = await http.post(CHAT, json=BODY | more)
    assert reply.status_code == 400
    assert len(reply.json()["error"]["message"]) > 20
    assert engine.asked == []
