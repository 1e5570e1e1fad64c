"""Values as text: templates, plain numbers, empty fields."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from p2p.errors import DataError
from p2p.examples import Example
from trainer.config import DataSource
from trainer.datasets import read_examples


def read(tmp_path: Path, *records: dict[str, Any], **fields: Any) -> list[Example]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_examples(DataSource(path=str(path), **fields))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (51.0, "51"),
        (100.0, "100"),
        (22090603.0, "22090603"),
        (0.5, "0.5"),
        (-3.0, "-3"),
        (1e-05, "0.00001"),
        (1e22, "10000000000000000000000"),
        (10.333333333333334, "10.333333333333334"),
        (7, "7"),
        ("3220.0", "3220.0"),
    ],
)
def test_a_number_is_written_plainly(tmp_path: Path, number: float | str, text: str):
    assert read(tmp_path, {"text": "x", "label": number})[0].answer == text


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_answer(tmp_path: Path, number: float):
    with pytest.raises(DataError, match="row 1, field 'label': is not a finite number"):
        read(tmp_path, {"text": "x", "label": number})


def test_a_template_puts_fields_together(tmp_path: Path):
    record = {"Body": "Dan had $ 3.", "Question": "How much is left?", "Answer": 1.0}
    (row,) = read(tmp_path, record, text="{Body} {Question}", answer="#### {Answer}")
    assert (row.text, row.answer) == ("Dan had $ 3. How much is left?", "#### 1")


@pytest.mark.parametrize("given", ["", "  ", None])
def test_an_empty_field_of_a_template_leaves_no_white_space_behind(tmp_path: Path, given: str | None):
    record = {"instruction": "Name a colour.", "input": given, "label": "Red."}
    assert read(tmp_path, record, text="{instruction}\n{input}")[0].text == "Name a colour."


def test_a_text_with_braces_is_no_template(tmp_path: Path):
    assert read(tmp_path, {"a": "{b}", "b": "x", "label": "y"}, text="{a}!")[0].text == "{b}!"


def test_a_template_of_nothing_is_empty(tmp_path: Path):
    with pytest.raises(DataError, match=r"row 1, field 'Q: \{a\}': is empty"):
        read(tmp_path, {"a": " ", "label": "y"}, text="Q: {a}")


def test_a_field_that_a_template_asks_for_in_vain_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="row 1, field 'Body': is missing; did you mean 'body'"):
        read(tmp_path, {"body": "x", "label": "y"}, text="{Body}")


@pytest.mark.parametrize("wanted", ["{", "a}", "{}", "{a} {{b}}"])
def test_braces_without_a_field_are_refused(wanted: str):
    with pytest.raises(ValidationError, match="is no template"):
        DataSource(path="rows.jsonl", text=wanted)


def test_of_several_answers_the_first_is_trained_on_and_all_are_accepted(tmp_path: Path):
    record = {"text": "x", "one": "A.", "two": "B.", "three": None}
    (row,) = read(tmp_path, record, answer=("one", "two", "three"))
    assert (row.answer, row.accepted) == ("A.", ("A.", "B."))


def test_a_reference_field_that_no_row_has_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="row 1, field 'two': is missing"):
        read(tmp_path, {"text": "x", "one": "A."}, answer=("one", "two"))


def test_one_answer_is_the_only_one_that_is_accepted(tmp_path: Path):
    assert read(tmp_path, {"text": "x", "label": "A."})[0].accepted == ("A.",)


def test_empty_rows_are_left_out_where_that_is_asked_for(tmp_path: Path):
    records = [
        {"text": "x", "label": ""},
        {"text": "y", "label": "A."},
        {"text": " ", "label": "A."},
        {"text": "z", "label": "B."},
    ]
    found = read(tmp_path, *records, skip_empty=True, limit=2)
    assert [(row.id, row.text) for row in found] == [("rows-2", "y"), ("rows-4", "z")]


def test_a_field_that_is_not_there_is_not_empty(tmp_path: Path):
    with pytest.raises(DataError, match="row 1, field 'label': is missing"):
        read(tmp_path, {"text": "x"}, skip_empty=True)


def test_rows_before_the_first_wanted_one_keep_their_numbers(tmp_path: Path):
    found = read(tmp_path, *({"text": str(at), "label": "a"} for at in range(5)), skip=2, limit=2)
    assert [(row.id, row.text) for row in found] == [("rows-3", "2"), ("rows-4", "3")]
