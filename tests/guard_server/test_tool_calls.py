import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_server.answers import CallPiece
from guard_server.schemas import FunctionSpec
from guard_server.tool_calls import CallReader
from guard_server.tools import ToolUse, call_text

TOOLS = ToolUse(
    tuple(FunctionSpec(name=name) for name in ("find", "find_all")),
    must_call=False,
    is_named=False,
    is_parallel=True,
)


def read(pieces: Iterable[str]) -> tuple[str, list[tuple[str, str]]]:
    """Text and calls, whatever pieces they came in."""
    reader, text = CallReader(TOOLS), ""
    calls: list[tuple[str, str]] = []
    for part in [*(part for piece in pieces for part in reader.feed(piece)), *reader.finish()]:
        if isinstance(part, CallPiece):
            calls += [(part.name, "")] if part.name else []
            name, arguments = calls[part.position]
            calls[part.position] = (name, arguments + part.arguments)
        else:
            text += part
    return text, calls


def test_text_and_calls_are_told_apart():
    said = "Let me look.\n" + call_text("find", '{"id": 1}') + "\n" + call_text("find_all", "{}")
    assert read([said]) == ("Let me look.\n", [("find", '{"id": 1}'), ("find_all", "{}")])


def test_an_end_inside_a_string_is_part_of_the_arguments():
    arguments = json.dumps({"text": 'a } and "quoted" }\n</tool_call>', "list": [{}, {"x": "\\"}]})
    assert read([call_text("find", arguments)]) == ("", [("find", arguments)])


@pytest.mark.parametrize(
    "said",
    [
        "a < b",
        "<tool_call>",
        '<tool_call>\n{"name": "drop", "arguments": {}}\n</tool_call>',
        "<tool_cal",
        "<<",
    ],
)
def test_what_is_no_call_of_a_known_function_is_text(said: str):
    assert read([said]) == (said, [])


def test_arguments_that_were_cut_off_are_kept_as_they_are():
    assert read(['<tool_call>\n{"name": "find", "arguments": {"id": "ab']) == ("", [("find", '{"id": "ab')])


def test_arguments_leave_as_they_come():
    reader = CallReader(TOOLS)
    found = [
        reader.feed(piece) for piece in ('<tool_call>\n{"name": "find", ', '"arguments": {"a', '": 1', "}}")
    ]
    assert found == [
        [],
        [CallPiece(0, "", "find"), CallPiece(0, '{"a')],
        [CallPiece(0, '": 1')],
        [CallPiece(0, "}")],
    ]


def test_text_is_held_back_only_while_it_could_begin_a_call():
    reader = CallReader(TOOLS)
    assert [reader.feed(piece) for piece in ("1 <", "t", "able>")] == [["1 "], [], ["<table>"]]


PARTS = st.sampled_from(
    [
        "text ",
        "\n",
        "<",
        "<tool_call>",
        call_text("find", '{"a": "}<tool_call>"}'),
        call_text("find_all", '{"b": [1, {}]}'),
        call_text("drop", "{}"),
    ]
)


@settings(deadline=None)
@given(parts=st.lists(PARTS, max_size=6), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_pieces_say_the_same_as_the_whole(parts: list[str], sizes: list[int]):
    said = "".join(parts)
    pieces: list[str] = []
    start = 0
    while start < len(said):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(said[start : start + size])
        start += size
    assert read(pieces) == read([said])


def test_the_grammar_begins_a_call_as_the_reader_reads_it():
    grammar = json.loads(TOOLS.grammar()["structural_tag"])["format"]
    assert {tag["begin"] for tag in grammar["tags"]} == set(TOOLS.begins)
    assert all(tag["begin"].startswith(grammar["triggers"][0]) for tag in grammar["tags"])


@pytest.mark.model
def test_the_engines_grammar_takes_what_the_reader_reads():
    """The tag in the grammar library that vLLM uses: calls as the guard writes them are accepted, others are not."""
    xgrammar = pytest.importorskip("xgrammar")
    tools = TOOLS._replace(must_call=True)
    grammar = xgrammar.Grammar.from_structural_tag(tools.grammar()["structural_tag"])
    accepts = xgrammar.testing._is_grammar_accept_string
    assert accepts(grammar, call_text("find", "{}"))
    assert not accepts(grammar, "no call")
    assert not accepts(grammar, call_text("drop", "{}"))
