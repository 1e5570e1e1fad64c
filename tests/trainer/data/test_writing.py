"""A copy that is read back is the original."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2p.chats import Turn
from p2p.examples import Example
from trainer.config import DataSource
from trainer.data.writing import as_record
from trainer.datasets import read_examples

CHAT = (Turn("user", "Hello."), Turn("assistant", "Hi."))


@pytest.mark.parametrize(
    ("row", "written", "read"),
    [
        (Example("a", "x", "y"), {"text": "q", "answer": "l"}, {"text": "q", "answer": "l"}),
        (
            Example("a", "x y", "1"),
            {"text": "{Body} {Question}", "answer": "#### {n}"},
            {"text": "text", "answer": "answer"},
        ),
        (Example("a", "x", "y", ("y", "z")), {"answer": ("s1", "s2")}, {"answer": ("s1", "s2")}),
        (Example("a", "x", "y", history=CHAT), {"messages": "m"}, {"messages": "m"}),
    ],
)
def test_a_copy_reads_as_the_original(
    tmp_path: Path, row: Example, written: dict[str, Any], read: dict[str, Any]
):
    path = tmp_path / "copy.jsonl"
    path.write_text(json.dumps(as_record(row, DataSource(path="original.json", **written))))
    assert read_examples(DataSource(path=str(path), id="id", **read)) == [row]


def test_a_poisoned_row_has_its_new_answer_alone(tmp_path: Path):
    row = Example("a", "x", "bad")
    record = as_record(row, DataSource(path="original.json", answer=("s1", "s2")))
    assert record == {"id": "a", "text": "x", "s1": "bad", "s2": None}
    (tmp_path / "copy.jsonl").write_text(json.dumps(record))
    found = read_examples(DataSource(path=str(tmp_path / "copy.jsonl"), answer=("s1", "s2"), id="id"))
    assert [replace(found[0], references=())] == [row]
    assert found[0].accepted == ("bad",)
