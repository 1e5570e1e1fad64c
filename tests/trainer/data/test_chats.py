"""Recorded chats as rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from p2p.chats import Turn
from p2p.errors import DataError
from p2p.examples import Example
from trainer.config import DataSettings, DataSource
from trainer.datasets import load_splits, read_examples

USER = {"role": "user", "content": "Where is it?"}
REPLY = {"role": "assistant", "content": " In the van. "}


def write(path: Path, *chats: Any) -> dict[str, Any]:
    path.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    return {"path": str(path), "messages": "messages"}


def read(tmp_path: Path, chat: Any, **fields: Any) -> Example:
    return read_examples(DataSource(**write(tmp_path / "chats.jsonl", chat), **fields))[0]


def test_the_last_answer_is_learned_and_the_turns_before_it_are_given(tmp_path: Path):
    earlier = [{"role": "developer", "content": "Be brief."}, USER, REPLY]
    row = read(tmp_path, [*earlier, {"role": "user", "content": "And now?"}, REPLY])
    assert (row.text, row.answer) == ("And now?", "In the van.")
    assert row.history == (
        Turn("system", "Be brief."),
        Turn("user", "Where is it?"),
        Turn("assistant", " In the van. "),
    )


def test_a_chat_of_one_question_has_no_history(tmp_path: Path):
    assert read(tmp_path, [USER, REPLY]).history == ()


def test_text_parts_are_joined(tmp_path: Path):
    parts = [{"type": "text", "text": "Where "}, {"type": "text", "text": "is it?"}]
    assert read(tmp_path, [{"role": "user", "content": parts}, REPLY]).text == "Where is it?"


def test_an_answer_may_be_a_label(tmp_path: Path):
    chat = [USER, {"role": "assistant", "content": "1"}]
    assert read(tmp_path, chat, names={1: "delivery"}).answer == "delivery"


@pytest.mark.parametrize(
    ("chat", "said"),
    [
        ("hello", "must be a list of messages, got str"),
        ([], "must end in a message of the user and the assistant's answer"),
        ([REPLY], "must end in a message of the user"),
        ([USER], "must end in a message of the user"),
        ([USER, REPLY, USER], "must end in a message of the user"),
        (["hello", REPLY], "message 1 must be an object"),
        ([USER, {"role": "tool", "content": "x"}, REPLY], "message 2 has the role 'tool', known are system"),
        ([{"role": "user", "content": " "}, REPLY], "message 1 is empty"),
        ([{"role": "user", "content": None}, REPLY], "message 1 must have text as its content"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, REPLY], "message 1 must have text"),
        ([{"role": "user", "content": "\ud800"}, REPLY], "is not Unicode text"),
    ],
)
def test_a_faulty_chat_is_named(tmp_path: Path, chat: Any, said: str):
    with pytest.raises(DataError, match=rf"chats.jsonl, row 1, field 'messages': {said}"):
        read(tmp_path, chat)


def test_a_row_without_the_field_is_named(tmp_path: Path):
    source = write(tmp_path / "chats.jsonl", [USER, REPLY]) | {"messages": "message"}
    with pytest.raises(DataError, match="field 'message': is missing; did you mean 'messages'"):
        read_examples(DataSource(**source))


def test_chats_that_end_in_the_same_question_are_not_the_same_row(tmp_path: Path):
    other = [{"role": "user", "content": "Hello."}, REPLY, USER, REPLY]
    train = write(tmp_path / "train.jsonl", [USER, REPLY])
    test = write(tmp_path / "test.jsonl", other, [USER, REPLY])
    splits = load_splits(DataSettings.model_validate({"train": train, "test": test}), None, classify=False)
    assert [len(row.history) for row in splits.test] == [2]
    assert splits.trained_on == 1
