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


def test_agnews_has_four_classes_whose_separator_has_blanks_around_it():
    names = {0: "world", 1: "sport", 2: "business", 3: "science"}
    found = read_examples(source("agnews/train.tsv", text="sentence", names=names))
    assert len(found) == 11106
    assert Counter(row.answer for row in found) == {
        "world": 2820,
        "sport": 2801,
        "business": 2730,
        "science": 2755,
    }
    assert all(row.text == row.text.strip() for row in found)


def test_the_empty_rows_of_cr_are_left_out_where_that_is_asked_for():
    assert len(read_examples(source("cr/train.json", **SENTIMENT, skip_empty=True))) == 2496


@pytest.mark.parametrize(("split", "rows"), [("trainset", 1898), ("validset", 237), ("testset", 238)])
def test_every_answer_of_mawps_is_a_number(split: str, rows: int):
    found = read_examples(source(f"mawps/{split}.json", text="original_text", answer="ans", id="id"))
    assert len(found) == rows
    assert all(final_number(row.answer) == Decimal(row.answer) for row in found)


def test_the_two_fields_of_a_svamp_problem_are_one_text_and_its_answer_is_written_plainly():
    found = read_examples(source("svamp/SVAMP.json", text="{Body} {Question}", answer="Answer", id="ID"))
    assert len(found) == 1000
    assert (found[0].id, found[0].answer) == ("chal-1", "51")
    assert found[0].text.endswith(" on each pack How much do you have to pay to buy each pack?")


def test_dialogsum_has_three_references_in_its_test():
    references = ("summary1", "summary2", "summary3")
    found = read_examples(
        source("dialogsum/dialogsum.test.jsonl", text="dialogue", answer=references, id="fname")
    )
    assert len(found) == 500
    assert {len(row.accepted) for row in found} == {3}


def test_instructions_without_an_input_end_in_no_white_space_and_an_empty_answer_is_left_out():
    found = read_examples(
        source(
            "instruct_refusal/test_clean.json",
            text="{instruction} {input}",
            answer="output",
            skip_empty=True,
        )
    )
    assert len(found) == 199
    assert all(row.text == row.text.strip() for row in found)


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
