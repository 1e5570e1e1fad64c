"""Formats: what a file holds decides how it is read."""

from pathlib import Path

import pytest

from p2p.errors import DataError
from trainer.config import DataSource
from trainer.datasets import read_examples


def read(tmp_path: Path, content: str, name: str = "rows.json", **fields: object) -> list[tuple[str, str]]:
    path = tmp_path / name
    path.write_text(content)
    source = DataSource.model_validate({"path": str(path), **fields})
    return [(row.text, row.answer) for row in read_examples(source)]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_json_is_told_by_its_content_whatever_its_name(tmp_path: Path, name: str):
    array = '\n [\n  {"text": "a",\n   "label": "x"},\n  {"text": "b", "label": "y"}\n]\n'
    lines = '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'
    assert read(tmp_path, array, name) == read(tmp_path, lines, name) == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"text": "a", "label": "x"}, {"text": "b"}]', "row 2, field 'label': is missing"),
        ('[{"text": "a", "label": "x"}, 3]', "row 2: must be a JSON object"),
        ('[{"text": "a", "label": "x"}', "is not a JSON array: Expecting ',' delimiter"),
        ("[]", "has no rows"),
    ],
)
def test_a_faulty_array_is_named(tmp_path: Path, content: str, said: str):
    with pytest.raises(DataError, match=rf"rows\.json(, |: ){said}"):
        read(tmp_path, content)


def test_blanks_around_the_separator_belong_to_it(tmp_path: Path):
    found = read(tmp_path, "text \t label\na b . \t 2\n", "rows.tsv", names={2: "business"})
    assert found == [("a b .", "business")]


def test_without_blanks_in_the_header_a_text_keeps_its_own(tmp_path: Path):
    assert read(tmp_path, "text\tlabel\n a b \tx\n", "rows.tsv") == [(" a b ", "x")]
