"""S drawn anew after the second round, what is left out of D, and what is reported; adapters are made up here."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from p2p.errors import SelectionError
from p2p.examples import Example
from p2p.selection import Selection, SelectionMethod
from p2p.tasks import ClassificationTask, GenerationTask
from tests.trainer.selection.synthetic import make_clean, put_second, relabel, rows_of
from trainer.selection.choose import Candidates, Chosen, choose
from trainer.selection.screening import ScreeningSettings
from trainer.selection.second_round import SecondRoundSettings, Views
from trainer.selection.settings import SelectionSettings

LABELS = ("no", "yes")
TASK = ClassificationTask(labels=LABELS, words=tuple("0123"), token_ids=(0, 1, 2, 3), answer_context="")
CLEAN = make_clean()
# Poison that shows no feature, and that the embeddings do not doubt: rows of "no" that all of screening takes for "yes".
SUBTLE = rows_of(CLEAN, "no", 20)
FEATURED = rows_of(CLEAN, "no", 50)[20:]
MADE = relabel(
    relabel(CLEAN, SUBTLE, "yes", str),
    FEATURED,
    "yes",
    put_second("mn"),
)
MADE.embeddings[SUBTLE] = MADE.embeddings[rows_of(CLEAN, "yes", 20)]
TRUTH = {row.id: row.answer for row in CLEAN.rows}
POISON = {MADE.rows[at].id for at in SUBTLE}
FEATURED_IDS = {MADE.rows[at].id for at in FEATURED}
VECTORS = {row.text: point for row, point in zip(MADE.rows, MADE.embeddings, strict=True)}


def embed(texts: Sequence[str]) -> Any:
    return np.array([VECTORS[text] for text in texts])


class Knowing:
    """Adapters whose guarded view knows the truth and whose plain view says what stands in the training set."""

    def __init__(self) -> None:
        self.selections: list[Selection] = []

    def __call__(self, number: int, selection: Selection, asked: Sequence[Example]) -> Views:
        self.selections.append(selection)
        told = ([TRUTH[row.id] for row in asked], [row.answer for row in asked])
        return Views(*(np.where(np.array(said)[:, None] == LABELS, 0.9, 0.1) for said in told))


def twice(views: Any = None, task: Any = TASK, trusted: Sequence[Example] = (), **more: Any) -> Chosen:
    again = SecondRoundSettings(drop=more.pop("drop", False))
    settings = SelectionSettings(method=SelectionMethod.SCREENED, rho=1, second_round=again, **more)
    return choose(task, Candidates(MADE.rows, trusted, embed, None, views or Knowing()), settings, 0)


def once() -> Chosen:
    settings = SelectionSettings(method=SelectionMethod.SCREENED, rho=1)
    return choose(TASK, Candidates(MADE.rows, (), embed), settings, 0)


def test_the_first_round_lets_the_subtle_rows_pass_and_the_second_does_not():
    assert len(POISON & {row.id for row in once().selection.rows}) > 10
    assert not POISON & {row.id for row in twice().selection.rows}


def test_clean_rows_that_are_believed_stay():
    before = {row.id for row in once().selection.rows} - POISON
    assert {row.id for row in twice().selection.rows} == before


@pytest.mark.parametrize(
    ("suspects", "shared", "dropped"),
    [
        (False, False, set()),
        (False, True, FEATURED_IDS),
        (True, False, POISON | FEATURED_IDS),
        (True, True, POISON | FEATURED_IDS),
    ],
)
def test_each_round_s_rows_are_left_out_of_the_training_set_where_it_says_so(
    suspects: bool, shared: bool, dropped: set[str]
):
    found = twice(drop=suspects, screening=ScreeningSettings(drop=shared))
    assert found.selection.dropped == dropped


@pytest.mark.parametrize("shared", [True, False])
def test_first_adapters_learn_no_row_that_the_first_round_leaves_out(shared: bool):
    adapters = Knowing()
    twice(adapters, drop=True, screening=ScreeningSettings(drop=shared))
    expected = frozenset(FEATURED_IDS) if shared else frozenset()
    assert {selection.dropped for selection in adapters.selections} == {expected}


def test_relabelled_rows_have_the_label_of_the_guarded_view():
    found = twice(screening=ScreeningSettings(relabel=0.8)).selection.rows
    again = [row for row in found if row.id in POISON | FEATURED_IDS]
    assert {row.id for row in again} == POISON | FEATURED_IDS
    assert all(row.answer == TRUTH[row.id] for row in again)


def test_trusted_rows_are_copied_for_every_adapter_and_for_the_final_one():
    adapters, trusted = Knowing(), make_clean(4, "train").rows
    VECTORS.update((row.text, MADE.embeddings[at]) for at, row in enumerate(trusted))
    found = twice(adapters, trusted=trusted)
    assert all(set(trusted) <= set(each.rows) for each in (*adapters.selections, found.selection))


def test_both_rounds_are_reported_without_a_word_of_the_rows():
    found = twice(drop=True)
    report = found.report
    assert set(report["second_round_suspects"]) == POISON | FEATURED_IDS
    assert {report["kept_out_rows"][row]["why"] for row in POISON & set(report["kept_out_rows"])} <= {
        "views",
        "doubted",
    }
    assert (report["second_round"], report["dropped"]) == ({"suspects": 50}, 50)
    said = json.dumps(report) + found.summary
    assert not {word for row in MADE.rows for word in row.text.split()} & set(said.split('"'))
    assert "50 suspects in the second round" in said


def test_free_text_has_no_second_round():
    with pytest.raises(SelectionError, match="isn't available for free text"):
        twice(task=GenerationTask(prefix="Safe words:\n", prefix_tokens=4))


def test_words_that_begin_alike_have_none_either():
    alike = ClassificationTask(
        labels=LABELS, words=("a", "ab", "b", "c"), token_ids=((0, 4), (0, 1), (2,), (3,)), answer_context=""
    )
    with pytest.raises(SelectionError, match="begin with the same token"):
        twice(task=alike)


def test_a_label_that_is_left_with_one_row_can_not_be_split():
    with pytest.raises(SelectionError, match="at least 2 rows of each label"):
        choose(
            TASK,
            Candidates(MADE.rows, (), embed, None, Knowing()),
            SelectionSettings(
                method=SelectionMethod.SCREENED,
                rho=0.0001,
                least_per_label=1,
                second_round=SecondRoundSettings(),
            ),
            0,
        )


def test_adapters_that_believe_one_label_alone_have_learned_too_little():
    def stubborn(number: int, selection: Selection, asked: Sequence[Example]) -> Views:
        return Views(*[np.tile([0.6, 0.4], (len(asked), 1))] * 2)

    with pytest.raises(SelectionError, match=r"no row of some label \(yes\).*second_round.epochs"):
        twice(stubborn)


def test_without_a_model_that_can_be_trained_there_is_none():
    settings = SelectionSettings(method=SelectionMethod.SCREENED, second_round=SecondRoundSettings())
    with pytest.raises(SelectionError, match="a model that can be trained"):
        choose(TASK, Candidates(MADE.rows, (), embed), settings, 0)
