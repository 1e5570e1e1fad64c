"""Other people's clients against the guard: OpenAI's own in all its ways, and LangChain's."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel

from guard_server.adapter import load_adapters
from guard_server.app import create_app
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from guard_server.tools import call_text
from tests.guard_server.conftest import answer_by_task, label_reply, text_reply
from tests.served import served

ANONYMOUS = {"auth": {"allow_anonymous": True}}
CHAT = [{"role": "user", "content": "where is parcel 7"}]


class Place(BaseModel):
    city: str


def answers(endpoint: Endpoint, payload: Payload) -> Payload:
    held = payload.get("structured_outputs", {})
    if "allowed_token_ids" in payload:
        return label_reply(endpoint, payload)
    if "structural_tag" in held:
        return text_reply(endpoint, payload, call_text("track", '{"id": 7}'))
    if "json" in held:
        return text_reply(endpoint, payload, '{"city": "Rome"}')
    return answer_by_task(endpoint, payload)


@pytest.fixture
def url(config: GuardConfig) -> Iterator[str]:
    """A guard on a port of its own: these clients bring their own connections."""
    opened = GuardConfig.model_validate(config.model_dump() | ANONYMOUS)
    app = create_app(opened, load_adapters(opened), (), engine=FakeEngine(answers))
    with served(app) as root:
        yield f"{root}/v1"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0) as found:
        yield found


def test_openais_client_asks_and_streams(client: openai.OpenAI):
    whole = client.chat.completions.create(model="writer", messages=CHAT, n=2)
    with client.chat.completions.stream(model="writer", messages=CHAT, n=2) as stream:
        final = stream.get_final_completion()
    assert [choice.message.content for choice in final.choices] == ["Hello there."] * 2
    assert [choice.message.content for choice in whole.choices] == ["Hello there."] * 2


async def test_openais_async_client_streams_the_usage_last(url: str):
    async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client:
        stream = await client.completions.create(
            model="writer", prompt="hi", stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "Hello there."
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 23)


def test_openais_client_parses_what_a_schema_held(client: openai.OpenAI):
    reply = client.chat.completions.parse(model="writer-chat", messages=CHAT, response_format=Place)
    assert reply.choices[0].message.parsed == Place(city="Rome")


def test_an_answer_can_be_sent_back_as_openais_client_gives_it(client: openai.OpenAI):
    first = client.chat.completions.create(model="writer-chat", messages=CHAT).choices[0].message
    turns: Any = [*CHAT, first, *CHAT]
    again = client.chat.completions.create(model="writer-chat", messages=turns)
    assert again.choices[0].message.content == "Hello there."


def test_langchain_asks_streams_and_reads_logprobs(url: str):
    model = ChatOpenAI(base_url=url, api_key="x", model="support", logprobs=True, top_logprobs=2)
    reply = model.invoke("where is parcel 7")
    assert reply.content == "billing"
    assert len(reply.response_metadata["logprobs"]["content"][0]["top_logprobs"]) == 2
    writer = ChatOpenAI(base_url=url, api_key="x", model="writer-chat", stream_usage=True)
    chunks = [*writer.stream("hi")]
    assert "".join(str(chunk.content) for chunk in chunks) == "Hello there."
    assert sum(chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata) == 23


def test_langchain_calls_a_tool_and_sends_its_result(url: str):
    def track(id: int) -> str:  # noqa: A002 - the schema's own name
        """Tell where a parcel is."""
        return f"parcel {id} is in Rome"

    model = ChatOpenAI(base_url=url, api_key="x", model="writer-chat").bind_tools([track])
    reply = model.invoke("where is parcel 7")
    assert [(call["name"], call["args"]) for call in reply.tool_calls] == [("track", {"id": 7})]
    result = {"role": "tool", "tool_call_id": reply.tool_calls[0]["id"], "content": track(7)}
    assert model.invoke([{"role": "user", "content": "where is parcel 7"}, reply, result]).tool_calls


def test_langchain_gets_structured_output(url: str):
    model = ChatOpenAI(base_url=url, api_key="x", model="writer-chat").with_structured_output(
        Place, method="json_schema"
    )
    assert model.invoke("where") == Place(city="Rome")


def test_langchains_completions(url: str):
    assert OpenAI(base_url=url, api_key="x", model="writer").invoke("hi") == "Hello there."


@pytest.mark.parametrize("path", ["responses", "embeddings"])
def test_what_is_not_served_is_a_404_that_says_so(url: str, path: str):
    reply = httpx.post(f"{url}/{path}", json={"model": "writer", "input": "hi"})
    assert reply.status_code == 404
    assert "/v1/chat/completions" in reply.json()["error"]["message"]
