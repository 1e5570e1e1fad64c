"""Rows from every kind of file; whatever is wrong is named, with file, row and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from p2p.errors import DataError
from tests.trainer.conftest import write_rows
from trainer.config import DataSettings, DataSource
from trainer.datasets import describe, load_splits, read_examples

GOOD = b'{"text": "hello", "label": "a"}\n'


def read(tmp_path: Path, content: bytes, name: str = "rows.jsonl", **more: Any) -> list[tuple[str, str, str]]:
    path = tmp_path / name
    path.write_bytes(content)
    return [(row.id, row.text, row.answer) for row in read_examples(DataSource(path=str(path), **more))]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    counts = {"train": 24, "trusted": 6, "test": 8}
    return {
        name: {"path": str(write_rows(tmp_path / f"{name}.jsonl", count, name)), "id": "id"}
        for name, count in counts.items()
    }


def splits(data: dict[str, Any], labels: list[str] | None = None, *, classify: bool = True) -> Any:
    return load_splits(DataSettings.model_validate(data), labels, classify=classify)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (GOOD + b'{"txt": "hello", "label": "a"}', r"row 2, field 'text': is missing; did you mean 'txt'"),
        (GOOD + b'{"q": "hello", "label": "a"}', r"row 2, field 'text': is missing; the row has q, label"),
        (GOOD + b'{"text": null, "label": "a"}', r"row 2, field 'text': is missing"),
        (GOOD + b'{"text": "  ", "label": "a"}', r"row 2, field 'text': is empty"),
        (GOOD + b'{"text": "hello", "label": ""}', r"row 2, field 'label': is empty"),
        (GOOD + b'{"text": ["x"], "label": "a"}', r"row 2, field 'text': must be text"),
        (GOOD + b'{"text": "\\ud800", "label": "a"}', r"row 2, field 'text': is not Unicode text"),
        (GOOD + b'{"text": "hello", "label"', r"row 2: is not JSON"),
        (GOOD + b"[1]", r"row 2: must be a JSON object"),
        (GOOD + b'{"text": "caf\xe9", "label": "a"}', r"row 2: is not UTF-8 \(byte 13 of the line\)"),
        (b"", r"has no rows"),
    ],
)
def test_a_faulty_json_row_is_named(tmp_path: Path, content: bytes, said: str):
    with pytest.raises(DataError, match=r"rows\.jsonl(, |: )" + said):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"text,label\na,b,c\n", "row 2: has 3 fields, the header 2"),
        (b"text,label\na\n", "row 2, field 'label': is missing"),
        (b'text,label\na,b\n"c,d\ne,f\n', "row 3: is not CSV: unexpected end of data"),
        (b"text,label\ra,b\r", "row 1: is not CSV: new-line character"),
        (b"text,label\n" + 140_000 * b"a" + b",b\n", "row 2: is not CSV: field larger"),
        (b"text,label\n", "has no rows"),
        (b"", "has no rows"),
    ],
)
def test_a_faulty_csv_row_is_named(tmp_path: Path, content: bytes, said: str):
    with pytest.raises(DataError, match=r"rows\.csv(, |: )" + said):
        read(tmp_path, content, "rows.csv")


@pytest.mark.parametrize("content", [b"no parquet", b"PAR1\x01\x00\x00\x00\x01\x00\x00\x00PAR1"])
def test_a_damaged_parquet_file_is_named(tmp_path: Path, content: bytes):
    with pytest.raises(DataError, match="rows.parquet: is not a Parquet file"):
        read(tmp_path, content, "rows.parquet")


def test_a_file_that_is_not_there_has_its_nearest_neighbour_named(tmp_path: Path):
    write_rows(tmp_path / "train.jsonl", 2, "train")
    with pytest.raises(DataError, match="did you mean 'train.jsonl'"):
        read_examples(DataSource(path=str(tmp_path / "trian.jsonl")))


def test_quoted_csv_and_tsv_and_parquet_give_the_same_rows(tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["one, two"], "label": ["x"]}), tmp_path / "a.parquet")
    found = [
        read(tmp_path, b'text,label\n"one, two",x\n', "a.csv"),
        read(tmp_path, b"text\tlabel\none, two\tx\n", "a.tsv"),
        read(tmp_path, (tmp_path / "a.parquet").read_bytes(), "a.parquet"),
    ]
    assert [rows[0][1:] for rows in found] == 3 * [("one, two", "x")]


def test_a_quotation_mark_in_a_tsv_file_is_a_character_like_any_other(tmp_path: Path):
    assert read(tmp_path, b'text\tlabel\n5" disk\tx\n', "a.tsv")[0][1:] == ('5" disk', "x")


def test_a_byte_order_mark_and_blank_lines_are_passed_over(tmp_path: Path):
    assert read(tmp_path, b"\xef\xbb\xbf" + GOOD + b"\n" + GOOD) == [
        ("rows-1", "hello", "a"),
        ("rows-3", "hello", "a"),
    ]


def test_blank_lines_of_a_csv_file_are_no_rows(tmp_path: Path):
    assert read(tmp_path, b"text,label\n\na,b\n\n", "rows.csv") == [("rows-3", "a", "b")]


def test_numbers_are_read_as_their_names(tmp_path: Path):
    content = b'{"text": "x", "label": 1}\n{"text": "y", "label": 0}\n'
    found = read(tmp_path, content, names={0: "negative", 1: "positive"})
    assert [answer for _, _, answer in found] == ["positive", "negative"]


def test_a_number_without_a_name_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"row 1, field 'label': unknown label '2', known are 0, 1"):
        read(tmp_path, b'{"text": "x", "label": 2}', names={0: "negative", 1: "positive"})


def test_a_repeated_id_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"field 'id': the id 'x' stands more than once"):
        read(tmp_path, 2 * b'{"id": "x", "text": "hello", "label": "a"}\n', id="id")


def test_a_limit_takes_the_first_rows_and_reads_no_further(tmp_path: Path):
    assert read(tmp_path, GOOD + b"not read", limit=1) == [("rows-1", "hello", "a")]


def test_a_hub_id_goes_to_the_hub_with_its_split(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def hub(name: str, split: str) -> list[dict[str, Any]]:
        asked.append((name, split))
        return [{"sentence": "fine", "label": 1}]

    monkeypatch.setattr("datasets.load_dataset", hub)
    source = DataSource(path="stanfordnlp/sst2", split="validation", text="sentence", names={1: "good"})
    rows = read_examples(source)
    assert asked == [("stanfordnlp/sst2", "validation")]
    assert [(row.id, row.text, row.answer) for row in rows] == [("sst2-1", "fine", "good")]


def test_a_hub_that_gives_nothing_is_told_from_a_file(monkeypatch: pytest.MonkeyPatch):
    def hub(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("datasets.load_dataset", hub)
    with pytest.raises(
        DataError, match=r"no/such: is neither a .jsonl.* nor a data set.*\(ConnectionError\)"
    ):
        read_examples(DataSource(path="no/such"))


def test_a_faulty_hub_row_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: [{"text": "a"}])
    with pytest.raises(DataError, match="some/set, row 1, field 'label': is missing"):
        read_examples(DataSource(path="some/set"))


def test_an_unknown_label_is_named(data: dict[str, Any]):
    said = r"train.jsonl, row 2, field 'label': unknown label 'delivery'.*did you mean 'deliverys'"
    with pytest.raises(DataError, match=said):
        splits(data, ["billing", "deliverys"])


@pytest.mark.parametrize(
    ("name", "content", "row"),
    [
        ("odd.csv", "text,label\na parcel,delivery\nan egg,food\n", 3),
        ("odd.jsonl", '\n{"text": "a parcel", "label": "delivery"}\n\n{"text": "x", "label": "food"}', 4),
    ],
)
def test_an_unknown_label_is_named_with_the_row_that_other_faults_would_have(
    data: dict[str, Any], tmp_path: Path, name: str, content: str, row: int
):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=rf"{name}, row {row}, field 'label': unknown label 'food'"):
        splits(data | {"test": {"path": str(tmp_path / name)}})


def test_free_text_answers_are_not_labels(data: dict[str, Any]):
    assert len(splits(data | {"min_rows_per_class": 1000}, classify=False).train) == 24


def test_too_few_rows_of_a_class_are_named(data: dict[str, Any]):
    with pytest.raises(DataError, match=r"train.jsonl.*at least 30 .*billing \(12\), delivery \(12\)"):
        splits(data | {"min_rows_per_class": 30})


def test_a_label_that_no_row_has_is_a_class_with_too_few_rows(data: dict[str, Any]):
    with pytest.raises(DataError, match=r"at least 8 are needed: other \(0\)"):
        splits(data, ["billing", "delivery", "other"])


def test_a_trusted_row_that_is_a_test_row_is_named(data: dict[str, Any]):
    with pytest.raises(DataError, match=r"row 1, field 'text'.*is also a trusted row \(id trusted 0\)"):
        splits(data | {"test": data["trusted"]})


def test_test_rows_that_are_trusted_are_left_out_where_that_is_asked_for(
    data: dict[str, Any], tmp_path: Path
):
    own = Path(data["test"]["path"]).read_text()
    (tmp_path / "test.jsonl").write_text(Path(data["trusted"]["path"]).read_text() + own)
    found = splits(data | {"trusted_test_rows": "leave_out"})
    assert (len(found.trusted), len(found.test), found.trained_on) == (6, 8, 6)


def test_a_trusted_row_that_is_not_taken_may_be_a_test_row(data: dict[str, Any], tmp_path: Path):
    last = Path(data["trusted"]["path"]).read_text().splitlines()[-1]
    (tmp_path / "test.jsonl").write_text(last + "\n")
    assert len(splits(data | {"max_trusted": 4}).test) == 1


def test_a_test_row_that_is_trained_on_is_left_out(data: dict[str, Any], tmp_path: Path):
    first = json.loads(Path(data["train"]["path"]).read_text().splitlines()[0])
    twin = first | {"id": "twin", "text": f"  {first['text'].upper()} "}
    with (tmp_path / "test.jsonl").open("a") as test:
        test.write(json.dumps(twin) + "\n")
    found = splits(data).test
    assert len(found) == 8
    assert "twin" not in {row.id for row in found}


def test_a_trusted_row_may_be_a_training_row(data: dict[str, Any]):
    assert len(splits(data | {"trusted": data["train"]}).trusted) == 24


@pytest.mark.parametrize(("wanted", "each"), [(4, [2, 2]), (3, [2, 1]), (None, [3, 3]), (99, [3, 3])])
def test_trusted_rows_are_taken_from_each_class_in_turn(
    data: dict[str, Any], wanted: int | None, each: list[int]
):
    found = [row.answer for row in splits(data | {"max_trusted": wanted}).trusted]
    assert [found.count("billing"), found.count("delivery")] == each


def test_a_file_is_described_by_its_digest_and_a_hub_set_by_its_name(tmp_path: Path):
    (tmp_path / "a.jsonl").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert describe(DataSource(path=str(tmp_path / "a.jsonl")), []) == {
        "name": "a.jsonl",
        "sha256": digest,
        "rows": 0,
    }
    assert describe(DataSource(path="some/set"), [])["sha256"] is None


def test_a_test_split_that_is_all_trained_on_is_refused(tmp_path: Path):
    rows = write_rows(tmp_path / "rows.jsonl", 16, "rows")
    source = DataSource(path=str(rows), id="id")
    with pytest.raises(DataError, match="nothing is left to measure on"):
        load_splits(DataSettings(train=source, test=source), None, classify=True)
