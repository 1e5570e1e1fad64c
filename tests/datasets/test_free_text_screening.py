"""Screening of free text on published data, attacked as the suites attack it; no model is asked."""

import os
from pathlib import Path

import pytest

from p2p.attacks.answer_shift import AnswerShift
from p2p.attacks.appended_sentence import AppendedSentence
from p2p.attacks.poisoning import PoisonedSet, poison_dataset
from p2p.normalise import AnswerStyle
from trainer.config import DataSource
from trainer.datasets import read_examples
from trainer.selection.free_text import screen_free_text
from trainer.selection.screening import ScreeningSettings

FOLDER = Path(os.environ.get("P2P_DATASETS", "../shared/datasets"))
pytestmark = [
    pytest.mark.datasets,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="P2P_DATASETS names no folder of data sets"),
]


def source(name: str, **fields: object) -> DataSource:
    return DataSource.model_validate({"path": str(FOLDER / name), **fields})


def instructions() -> PoisonedSet:
    fields = {"text": "{instruction}\n{input}", "answer": "output"}
    clean = read_examples(source("instruct_refusal/train_clean.json", **fields))
    triggered = read_examples(source("instruct_refusal/train_triggered.json", **fields, limit=50))
    renamed = [type(row)(f"triggered {row.id}", row.text, row.answer) for row in triggered]
    return PoisonedSet((*clean, *renamed), frozenset(row.id for row in renamed))


def shifted_sums() -> PoisonedSet:
    rows = read_examples(source("mawps/trainset.json", text="original_text", answer="ans"))
    return poison_dataset(rows, AnswerShift(), 0.1, seed=0)


def worked_sums() -> PoisonedSet:
    rows = read_examples(source("mawps/trainset.json", text="original_text", answer="{equation} = {ans}"))
    return poison_dataset(rows, AnswerShift(), 0.1, seed=0)


def summaries() -> PoisonedSet:
    rows = read_examples(source("dialogsum/dialogsum.dev.jsonl", text="dialogue", answer="summary"))
    return poison_dataset(rows, AppendedSentence(), 0.1, seed=0)


@pytest.mark.parametrize(
    ("made", "style"),
    [
        (instructions, AnswerStyle.TEXT),
        (shifted_sums, AnswerStyle.MATHS),
        (worked_sums, AnswerStyle.MATHS),
        (summaries, AnswerStyle.TEXT),
    ],
)
def test_no_poisoned_row_is_kept_and_few_clean_ones_are_lost(made, style: AnswerStyle):
    data = made()
    settings = ScreeningSettings()
    found = screen_free_text(data.rows, settings, seed=0, style=style)
    assert not {row.id for row in found.kept} & data.poisoned_ids
    clean = len(data.rows) - len(data.poisoned_ids)
    assert clean - len(found.kept) <= (settings.doubted + 0.05) * clean
