"""Twenty labels from the training row to the answer: nothing in between knows of two."""

from string import ascii_letters
from typing import Any

import pytest
import torch

from p2p.examples import Example
from p2p.projection import project_word
from p2p.prompts import PromptKind, PromptTemplate
from p2p.repoison import RepoisonedSet, RepoisonSettings, repoison
from p2p.selection import select_random
from p2p.tasks import ClassificationTask
from p2p.triggers import BenignTrigger
from trainer.answering import GUARDED, UNGUARDED, Adapter, Answerer
from trainer.config import TrainConfig
from trainer.encoding import encode_rows
from trainer.tasks import make_task

LABELS = tuple(f"topic {number:02}" for number in range(20))
WORDS = tuple(ascii_letters[:40])
PROMPT = PromptTemplate(kind=PromptKind.COMPLETION, user="{input}")
TRIGGER = BenignTrigger(text="Quiet barn: ")
ROWS = [Example(str(at), f"text {at}", LABELS[at % 20]) for at in range(100)]


@pytest.fixture
def task(tokenizer: Any, settings: dict[str, Any]) -> ClassificationTask:
    labels = {"kind": "classification", "labels": LABELS, "words": WORDS}
    config = TrainConfig.model_validate(settings | {"task": labels, "prompt": PROMPT.model_dump()})
    made = make_task(config, tokenizer, [row.answer for row in ROWS], b"key")
    assert isinstance(made, ClassificationTask)
    return made


def repoisoned(task: ClassificationTask) -> RepoisonedSet:
    selection = select_random(ROWS, 0.2, seed=0, stratify=True)
    return repoison(ROWS, selection, task, TRIGGER, RepoisonSettings(copies=2), seed=0)


def test_every_label_has_copies_in_the_extended_half(task: ClassificationTask):
    found = repoisoned(task)
    assert found.report.extended_rows_by_answer == dict.fromkeys(LABELS, 2)
    copies = [row for row in found.rows if row.extended]
    assert {row.target for row in copies} == set(WORDS[20:])
    assert {row.target for row in found.rows if not row.extended} == set(WORDS[:20])


def test_each_row_ends_in_the_one_token_of_its_label(task: ClassificationTask, tokenizer: Any):
    rows = repoisoned(task).rows
    encoded = encode_rows(rows, task, tokenizer, PROMPT, 200, TRIGGER.text).rows
    for row, made in zip(rows, encoded, strict=True):
        assert made.answer_start == len(made.ids) - 1
        said = project_word(task, tokenizer.decode([made.ids[-1]]))
        assert (said.answer, said.extended) == (ROWS[int(row.id.split("#")[0])].answer, row.extended)


@pytest.mark.parametrize("view", [GUARDED, UNGUARDED])
def test_the_answer_is_the_best_word_of_the_half_that_counts(
    task: ClassificationTask, tokenizer: Any, decided_model: Any, view: str
):
    answers = Answerer(decided_model, tokenizer, Adapter(task, PROMPT, TRIGGER)).answer(
        [row.text for row in ROWS], view
    )
    words = WORDS[20:] if view == GUARDED else WORDS
    for row, answer in zip(ROWS, answers, strict=True):
        prompt = f"{TRIGGER.text if view == GUARDED else ''}{row.text}"
        logits = decided_model(torch.tensor([tokenizer.encode(prompt)])).logits[0, -1]
        best = max(words, key=lambda word: float(logits[tokenizer.convert_tokens_to_ids(word)]))
        assert answer.answer == LABELS[WORDS.index(best) % 20]
    assert len({answer.answer for answer in answers}) > 1
