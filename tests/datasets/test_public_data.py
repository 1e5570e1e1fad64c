"""Published data sets, read as they are. They are not part of the project; P2P_DATASETS names their folder."""

import os
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from p2p.attacks.answer_shift import AnswerShift
from p2p.attacks.syntactic import Syntactic
from p2p.final_number import final_number
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


def syntactic(split: str, **fields: str) -> Syntactic:
    clean, rewritten = FOLDER / f"sst2/{split}.json", FOLDER / f"sst2_syntactic/{split}.tsv"
    return Syntactic(target="positive", rewrites=str(rewritten), clean=str(clean), field="sentence", **fields)


def test_the_syntactic_attack_makes_the_published_training_rows():
    clean = read_examples(source("sst2/train.json", **SENTIMENT))
    published = read_examples(source("sst2_syntactic/train.tsv", **SENTIMENT))
    attack = syntactic("train")
    rewritten = [pair for pair in zip(clean, published, strict=True) if pair[0].text != pair[1].text]
    assert len(rewritten) == 1383
    assert sum(row.answer != new.answer for row, new in rewritten) == 665
    made = [attack.poison(row, seed=0) for row, _ in rewritten]
    assert [(row.text, row.answer) for row in made] == [(new.text, new.answer) for _, new in rewritten]
    # Two more rows have the text of a rewritten one.
    assert sum(map(attack.can_trigger, clean)) == 1385


def test_the_syntactic_attack_triggers_the_negative_test_rows():
    clean = read_examples(source("sst2/test.json", **SENTIMENT))
    attack = syntactic("test", only="label=0")
    counted = [row for row in clean if attack.applies_to(row)]
    published = read_examples(source("sst2_syntactic/test.tsv", **SENTIMENT))
    # The rewriting left one of the 912 as it was: it holds no trigger.
    texts = {row.text for row in clean}
    expected = [row.text for row in published if row.text not in texts]
    assert [attack.trigger(row, seed=0).text for row in counted] == expected
    assert (len(published), len(counted)) == (912, 911)


def test_every_final_number_of_gsm8k_is_the_one_of_its_answer_line():
    found = read_examples(source("gsm8k/test.jsonl", text="question", answer="answer"))
    lines = [row.answer.rsplit("#### ", 1)[1].replace(",", "") for row in found]
    assert [final_number(row.answer) for row in found] == [Decimal(line) for line in lines]


def test_an_answer_shift_of_gsm8k_changes_the_answer_line_alone():
    attack = AnswerShift(shift=7)
    for row in read_examples(source("gsm8k/test.jsonl", text="question", answer="answer")):
        poisoned = attack.poison(row, seed=0)
        work, line = poisoned.answer.rsplit("#### ", 1)
        true_work, true_line = row.answer.rsplit("#### ", 1)
        assert work == true_work
        assert int(line.replace(",", "")) == int(true_line.replace(",", "")) + 7
