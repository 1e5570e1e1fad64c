"""Whatever is wrong is named, with file, row and field, before anything is trained."""

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from p2p.errors import DataError
from tests.trainer.conftest import write_rows
from trainer.base_model import find_base_model
from trainer.config import DataSource, TrainConfig, load_config
from trainer.datasets import load_splits, read_examples
from trainer.errors import BaseModelError, ConfigError
from trainer.recipe import train


def read(tmp_path: Path, content: bytes, name: str = "rows.jsonl") -> None:
    path = tmp_path / name
    path.write_bytes(content)
    read_examples(DataSource(path=str(path)))


GOOD = b'{"text": "hello", "label": "a"}\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (GOOD + b'{"txt": "hello", "label": "a"}', r"row 2, field 'text': is missing; did you mean 'txt'"),
        (GOOD + b'{"text": "  ", "label": "a"}', r"row 2, field 'text': is empty"),
        (GOOD + b'{"text": ["x"], "label": "a"}', r"row 2, field 'text': must be text"),
        (GOOD + b'{"text": "hello", "label"', r"row 2: is not JSON"),
        (GOOD + b"[1]", r"row 2: must be a JSON object"),
        (GOOD + b'{"text": "caf\xe9", "label": "a"}', r"row 2: is not UTF-8"),
        (b"", r"has no rows"),
    ],
)
def test_a_faulty_row_is_named(tmp_path: Path, content: bytes, said: str):
    with pytest.raises(DataError, match=said):
        read(tmp_path, content)


def test_a_csv_row_with_too_many_fields_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="row 2: has 3 fields, the header 2"):
        read(tmp_path, b"text,label\na,b,c\n", "rows.csv")


def test_a_file_that_is_not_there_has_its_nearest_neighbour_named(tmp_path: Path):
    write_rows(tmp_path / "train.jsonl", 2, "train")
    with pytest.raises(DataError, match="did you mean 'train.jsonl'"):
        read_examples(DataSource(path=str(tmp_path / "trian.jsonl")))


def test_quoted_csv_and_tsv_and_parquet_give_the_same_rows(tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "a.csv").write_text('text,label\n"one, two",x\n')
    (tmp_path / "a.tsv").write_text("text\tlabel\none, two\tx\n")
    parquet.write_table(pa.table({"text": ["one, two"], "label": ["x"]}), tmp_path / "a.parquet")
    found = [
        read_examples(DataSource(path=str(tmp_path / name)))[0] for name in ("a.csv", "a.tsv", "a.parquet")
    ]
    assert {(row.text, row.answer) for row in found} == {("one, two", "x")}


def test_an_unknown_label_is_named(settings: dict[str, Any]):
    data = TrainConfig.model_validate(settings).data
    with pytest.raises(
        DataError, match=r"row 2, field 'label': unknown label 'delivery'.*did you mean 'deliverys'"
    ):
        load_splits(data, ["billing", "deliverys"], classify=True)


def test_too_few_rows_of_a_class_are_named(settings: dict[str, Any]):
    data = TrainConfig.model_validate(settings).data.model_copy(update={"min_rows_per_class": 30})
    with pytest.raises(DataError, match=r"billing \(24\), delivery \(24\)"):
        load_splits(data, None, classify=True)


def test_a_trusted_row_that_is_a_test_row_is_named(settings: dict[str, Any]):
    settings["data"]["test"] = settings["data"]["trusted"]
    with pytest.raises(DataError, match=r"row 1, field 'text'.*is also a trusted row"):
        load_splits(TrainConfig.model_validate(settings).data, None, classify=True)


def test_a_test_row_that_is_trained_on_is_not_measured(settings: dict[str, Any]):
    settings["data"]["test"] = settings["data"]["train"]
    assert load_splits(TrainConfig.model_validate(settings).data, None, classify=True).test == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sede": 1}, "sede: unknown key; did you mean 'seed'"),
        ({"training": {"epoch": 1}}, "training.epoch: unknown key; did you mean 'epochs'"),
        ({"prompt": {"user": "no slot"}}, r"prompt.user must hold the slot \{input\} exactly once"),
        ({"training": {"epochs": 0}}, "training.epochs: Input should be greater than or equal to 1"),
        ({"data": {"train": {"path": "x.jsonl"}}}, "needs data.trusted"),
    ],
)
def test_a_faulty_config_is_named(
    tmp_path: Path, settings: dict[str, Any], change: dict[str, Any], said: str
):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings | change))
    with pytest.raises(ConfigError, match=said):
        load_config(path)


def test_an_unknown_model_has_its_nearest_neighbour_named(tmp_path: Path):
    (tmp_path / "SmolLM2").mkdir()
    with pytest.raises(BaseModelError, match="did you mean .*SmolLM2"):
        find_base_model(str(tmp_path / "SmolLM"))


@pytest.mark.model
def test_an_answer_that_cannot_fit_is_named(settings: dict[str, Any]):
    settings["prompt"]["user"] = "word " * 80 + "{input}\nAnswer: "
    with pytest.raises(DataError, match=r"row t.* Raise training.max_length"):
        train(TrainConfig.model_validate(settings), Console(file=io.StringIO()))


@pytest.mark.model
def test_long_rows_lose_the_end_of_their_text_alone(settings: dict[str, Any]):
    from p2p.prompts import PromptTemplate
    from trainer.base_model import load_tokenizer
    from trainer.encoding import PromptEncoder

    tokenizer = load_tokenizer(Path(settings["base_model"]))
    encoder = PromptEncoder(tokenizer, PromptTemplate.model_validate(settings["prompt"]))
    ids, was_cut = encoder.encode_within("Stamp: " + "parcel " * 100, 32)
    text = tokenizer.decode(ids)
    assert was_cut
    assert len(ids) <= 32
    assert text.startswith("Stamp: parcel")
    assert text.endswith("\nAnswer: ")
