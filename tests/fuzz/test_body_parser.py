"""Whatever a client sends is one stamped request of allowed parameters, or a refusal that is short and names no value."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guard_server.adapter import LoadedAdapter
from guard_server.asking import engine_request
from guard_server.errors import BadRequestError
from guard_server.prompt_guard import GuardRequest, parse_chat, parse_completion
from guard_server.settings import EscapePolicy, Limits
from p2p.manifest import verify_adapter
from tests.fuzz.conftest import fuzzed
from tests.guard_server.conftest import TRIGGER, classification, write_adapter, write_base_model

LIMITS = Limits()
PARSERS = {"chat": parse_chat, "completion": parse_completion}
ALLOWED = {
    *(
        "model",
        "n",
        "messages",
        "prompt",
        "temperature",
        "top_p",
        "seed",
        "stop",
        "presence_penalty",
        "frequency_penalty",
    ),
    *("top_k", "min_p", "repetition_penalty", "user"),
}
"""All that the engine may be told of a client's request before the task adds its own."""
GOOD = {
    "model": "m",
    "messages": [{"role": "user", "content": "x"}],
    "temperature": 0.5,
    "stop": ["x"],
    "n": 1,
}
NAMES = sorted(
    ALLOWED
    | {
        "stream",
        "stream_options",
        "logprobs",
        "top_logprobs",
        "max_tokens",
        "max_completion_tokens",
        "user",
        "tools",
        "tool_choice",
    }
    | {
        "response_format",
        "echo",
        "chat_template",
        "logit_bias",
        "prompt_logprobs",
        "role",
        "content",
        "type",
        "text",
    }
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["user", "text", "m"])
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), values, max_size=6)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> LoadedAdapter:
    home: Path = tmp_path_factory.mktemp("fuzz")
    base = write_base_model(home / "base")
    verified = verify_adapter(write_adapter(home / "m", base, classification()))
    return LoadedAdapter("m", verified, unguarded=False, escape_policy=EscapePolicy.RETRY)


def check(adapter: LoadedAdapter, kind: str, content: bytes) -> None:
    try:
        asked = PARSERS[kind](content, LIMITS)
    except BadRequestError as error:
        require_short(error)
    else:
        require_stamp(adapter, asked)


def require_short(error: BadRequestError) -> None:
    assert len(error.message) <= 400
    assert len(error.param or "") <= 128
    json.dumps(error.body())


def require_stamp(adapter: LoadedAdapter, asked: GuardRequest) -> None:
    try:
        payload = engine_request(adapter, asked).payload
    except BadRequestError:
        return
    assert set(payload) <= ALLOWED
    assert payload["model"] == adapter.target
    assert payload["prompt"].startswith(TRIGGER.text)


@pytest.mark.parametrize("kind", PARSERS)
@fuzzed
@given(content=st.binary(max_size=200))
@example(content=b"\xff\xfe")
def test_bytes(adapter: LoadedAdapter, kind: str, content: bytes):
    check(adapter, kind, content)


@pytest.mark.parametrize("kind", PARSERS)
@fuzzed
@given(body=values)
def test_json(adapter: LoadedAdapter, kind: str, body: object):
    check(adapter, kind, json.dumps(body).encode())


@pytest.mark.parametrize("kind", PARSERS)
@fuzzed
@given(more=bodies)
def test_good_bodies_with_anything_beside_it(adapter: LoadedAdapter, kind: str, more: dict[str, object]):
    good = GOOD if kind == "chat" else {"model": "m", "prompt": "x"}
    check(adapter, kind, json.dumps(good | more).encode())


@pytest.mark.parametrize("kind", PARSERS)
@fuzzed
@given(data=st.data())
def test_good_bodies_with_some_bytes_changed(adapter: LoadedAdapter, kind: str, data: st.DataObject):
    content = bytearray(
        json.dumps(GOOD if kind == "chat" else {"model": "m", "prompt": "x", "n": 1}).encode()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        if not content:
            break
    check(adapter, kind, bytes(content))
