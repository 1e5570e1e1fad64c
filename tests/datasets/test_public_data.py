"""Published data sets, read as they are. They are not part of the project; P2P_DATASETS names their folder."""

import os
from collections import Counter
from pathlib import Path

import pytest

from trainer.config import DataSettings, DataSource
from trainer.datasets import load_splits, read_examples

FOLDER = Path(os.environ.get("P2P_DATASETS", "../shared/datasets"))
SENTIMENT = {"text": "sentence", "names": {0: "negative", 1: "positive"}}
pytestmark = [
    pytest.mark.datasets,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="P2P_DATASETS names no folder of data sets"),
]


def source(name: str, **fields: object) -> DataSource:
    return DataSource.model_validate({"path": str(FOLDER / name), **fields})


@pytest.mark.parametrize(("split", "rows"), [("train", 6920), ("dev", 872), ("test", 1821)])
def test_sst2_is_read_whole(split: str, rows: int):
    found = read_examples(source(f"sst2/{split}.json", **SENTIMENT))
    assert len(found) == rows
    assert {row.answer for row in found} == {"negative", "positive"}


def test_texts_that_sst2_has_in_train_and_test_are_not_tested_on():
    splits = load_splits(
        DataSettings(
            train=source("sst2/train.json", **SENTIMENT), test=source("sst2/test.json", **SENTIMENT)
        ),
        ("negative", "positive"),
        classify=True,
    )
    assert not {row.text for row in splits.train} & {row.text for row in splits.test}
    assert len(splits.test) == 1819


def test_trusted_rows_are_taken_from_each_class_in_turn():
    settings = DataSettings(
        train=source("sst2/train.json", **SENTIMENT),
        trusted=source("sst2/dev.json", **SENTIMENT),
        max_trusted=300,
    )
    trusted = load_splits(settings, ("negative", "positive"), classify=True).trusted
    assert Counter(row.answer for row in trusted) == {"negative": 150, "positive": 150}


def test_worked_answers_of_gsm8k_keep_their_lines():
    found = read_examples(source("gsm8k/test.jsonl", text="question", answer="answer"))
    assert len(found) == 1319
    assert all("\n#### " in row.answer for row in found)
