"""Whatever an engine sends, and however it is cut: what leaves is projected, or the request fails with an error of ours."""

from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Delta
from guard_server.engine.channel import EngineReply, EngineStream
from guard_server.engine.vllm import VllmEngine
from guard_server.errors import GuardError
from guard_server.generation import generate
from guard_server.prompt_guard import parse_completion
from guard_server.settings import EscapePolicy, Limits
from guard_server.streaming import stream_text
from guard_server.text_run import TextRun, first_run
from p2p.manifest import verify_adapter
from p2p.normalise import normalise
from p2p.tasks import GenerationTask
from tests.fuzz.conftest import fuzzed
from tests.guard_server.conftest import PREFIX, generation, is_forced, write_adapter, write_base_model

T = TypeVar("T")
EVIL = "\u2620"
"""Stands in every reply that lacks the prefix, and nowhere else: it must never leave."""
STRICT = (EscapePolicy.RETRY, EscapePolicy.REFUSE)
texts = st.text(st.sampled_from("ab \n<end>#\u2028\u00e9" + PREFIX[:6]), max_size=30)


class Script:
    """A link whose engine says ``free`` when it is left free and ``forced`` after the prefix; bytes may be changed on the way."""

    def __init__(self, free: str, forced: str, cuts: list[int], flips: list[tuple[int, int]]) -> None:
        self._said = {False: free, True: forced}
        self._cuts = cuts
        self._flips = flips

    async def post(self, path: str, content: bytes) -> EngineReply:
        choices = [{"index": 0, "text": self._text(content), "finish_reason": "stop"}]
        usage = {"prompt_tokens": 9, "completion_tokens": 9}
        return EngineReply(200, self._changed(orjson.dumps({"choices": choices, "usage": usage})))

    @asynccontextmanager
    async def stream(self, path: str, content: bytes) -> AsyncIterator[EngineStream]:
        sent = self._changed(b"".join(self._events(self._text(content))))
        yield EngineStream(200, self._pieces(sent))

    def _text(self, content: bytes) -> str:
        return self._said[is_forced(orjson.loads(content))]

    def _events(self, text: str) -> Iterator[bytes]:
        cuts = sorted(cut % (len(text) + 1) for cut in self._cuts)
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            yield self._event({"choices": [{"index": 0, "text": text[start:end], "finish_reason": None}]})
        yield self._event({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
        yield self._event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9}})
        yield b"data: [DONE]\n\n"

    @staticmethod
    def _event(content: dict[str, Any]) -> bytes:
        return b"data: " + orjson.dumps(content) + b"\n\n"

    def _changed(self, content: bytes) -> bytes:
        found = bytearray(content)
        for at, value in self._flips:
            found[at % len(found)] = value
        return bytes(found)

    async def _pieces(self, content: bytes) -> AsyncIterator[bytes]:
        cuts = sorted(cut * 7 % (len(content) + 1) for cut in self._cuts)
        for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            yield content[start:end]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> LoadedAdapter:
    home: Path = tmp_path_factory.mktemp("fuzz")
    verified = verify_adapter(write_adapter(home / "m", write_base_model(home / "base"), generation()))
    return LoadedAdapter("m", verified, unguarded=False, escape_policy=EscapePolicy.RETRY)


def run_of(adapter: LoadedAdapter, policy: EscapePolicy) -> TextRun:
    task = adapter.manifest.task
    assert isinstance(task, GenerationTask)
    asked = parse_completion(b'{"model": "m", "prompt": "x"}', Limits())
    return first_run(adapter._replace(escape_policy=policy), task, asked, 64)


def done(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end what never waits; a loop of its own for each case would take most of the time."""
    try:
        work.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    raise AssertionError("it waits for something")


async def streamed(script: Script, run: TextRun) -> str:
    engine = VllmEngine.of_links({run.adapter.target: script})
    pieces = [piece async for batch in stream_text(engine, lambda: run) for piece in batch]
    return "".join(piece.text for piece in pieces if isinstance(piece, Delta))


async def whole(script: Script, run: TextRun) -> str:
    engine = VllmEngine.of_links({run.adapter.target: script})
    return (await generate(engine, run)).answers[0].text


@fuzzed
@given(answer=texts, forced=texts, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_a_reply_with_the_prefix_is_the_answer_however_it_is_cut(
    adapter: LoadedAdapter, answer: str, forced: str, cuts: list[int]
):
    script, run = Script(PREFIX + answer, forced, cuts, []), run_of(adapter, EscapePolicy.REFUSE)
    assert (
        done(streamed(script, run)) == done(whole(script, run)) == normalise(answer, end_markers=("<end>",))
    )


@fuzzed
@given(reply=texts, forced=texts, cuts=st.lists(st.integers(0, 200), max_size=8), at=st.integers(0, 30))
def test_nothing_of_a_reply_without_the_prefix_leaves(
    adapter: LoadedAdapter, reply: str, forced: str, cuts: list[int], at: int
):
    evil = reply[:at] + EVIL + reply[at:]
    if evil.lstrip().startswith(PREFIX):
        return
    script = Script(evil, forced, cuts, [])
    again = normalise(forced, end_markers=("<end>",))
    assert done(streamed(script, run_of(adapter, EscapePolicy.RETRY))) == again
    assert done(whole(script, run_of(adapter, EscapePolicy.RETRY))) == again
    for work in (streamed, whole):
        with pytest.raises(GuardError):
            done(work(script, run_of(adapter, EscapePolicy.REFUSE)))


@fuzzed
@given(
    policy=st.sampled_from(STRICT),
    reply=texts,
    forced=texts,
    cuts=st.lists(st.integers(0, 400), max_size=8),
    flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_an_engine_that_says_anything_is_an_error_of_ours_at_worst(
    adapter: LoadedAdapter,
    policy: EscapePolicy,
    reply: str,
    forced: str,
    cuts: list[int],
    flips: list[tuple[int, int]],
):
    script = Script(EVIL + reply, forced, cuts, flips)
    for work in (streamed, whole):
        try:
            said = done(work(script, run_of(adapter, policy)))
        except GuardError:
            continue
        assert EVIL not in said


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "index",
                    "text",
                    "finish_reason",
                    "usage",
                    "prompt_tokens",
                    "completion_tokens",
                    "logprobs",
                    "error",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


class Odd(Script):
    """An engine that sends JSON of another shape."""

    def __init__(self, chunks: list[Any]) -> None:
        super().__init__("", "", [], [])
        self._chunks = chunks

    async def post(self, path: str, content: bytes) -> EngineReply:
        return EngineReply(200, orjson.dumps(self._chunks[0]))

    def _events(self, text: str) -> Iterator[bytes]:
        yield from (b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in self._chunks)
        yield b"data: [DONE]\n\n"


@fuzzed
@given(chunks=st.lists(json_values, min_size=1, max_size=4), policy=st.sampled_from(STRICT))
def test_json_of_another_shape_is_an_error_of_ours_at_worst(
    adapter: LoadedAdapter, chunks: list[Any], policy: EscapePolicy
):
    for work in (streamed, whole):
        try:
            done(work(Odd(chunks), run_of(adapter, policy)))
        except GuardError:
            continue
