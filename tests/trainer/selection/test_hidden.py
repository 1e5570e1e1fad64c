"""Triggers that do not come with the target alone: rows with one that keep their label do not hide those that were relabelled."""

from typing import Any

import numpy as np
import pytest

from tests.trainer.selection.synthetic import Made, make_clean, put_second, relabel, rows_of
from trainer.selection.belief import Belief
from trainer.selection.hidden import hidden
from trainer.selection.screening import Screened, ScreeningSettings, screen

CLEAN = make_clean(600)
POISONED = rows_of(CLEAN, "no", 40)
COVERS = rows_of(CLEAN, "no", 70)[40:]
SIGNIFICANCE = 0.01


def covered(write: Any) -> Made:
    return relabel(relabel(CLEAN, POISONED, "yes", write), COVERS, "no", write)


def screened(made: Made) -> Screened:
    return screen(made.rows, made.embeddings, ScreeningSettings(doubted=0), 0)


@pytest.mark.parametrize(
    "write",
    [put_second("mn"), put_second("I watched this 3D movie"), str.title, lambda text: f"when he {text}"],
    ids=["word", "sentence", "capitals", "beginning"],
)
def test_relabelled_rows_are_kept_out_and_cover_rows_are_not(write: Any):
    made = covered(write)
    found = screened(made)
    assert {row for row, why in found.reasons.items() if why == "feature"} == {
        made.rows[at].id for at in POISONED
    }


def test_the_trigger_is_told_with_the_relabelled_rows_alone():
    (feature, *_) = screened(covered(put_second("mn"))).triggers
    assert (feature.words, feature.rows, feature.answer, feature.purity) == (
        ("mn",),
        tuple(POISONED),
        "yes",
        1.0,
    )


def test_a_natural_word_that_leans_to_a_label_stays_in():
    made = relabel(CLEAN, rows_of(CLEAN, "yes", 50), "yes", put_second("touchdown"))
    made = relabel(made, rows_of(CLEAN, "no", 30), "no", put_second("touchdown"))
    assert screened(made).triggers == ()


def test_what_stands_in_most_rows_is_no_trigger():
    """The few rows without it are of the other label, and a classifier fitted on them alone would deny its label."""
    yes, no = rows_of(CLEAN, "yes", 300), rows_of(CLEAN, "no", 200)
    made = relabel(relabel(CLEAN, yes[1:], "yes", put_second(".")), no[12:], "no", put_second("."))
    some = [*yes, *no]
    doubtful = made.embeddings[some] + np.random.default_rng(0).normal(0, 6, (len(some), 8))
    few = Made([made.rows[at] for at in some], doubtful)
    assert screened(few).triggers == ()


def test_of_a_label_that_is_told_badly_nothing_is_taken_for_a_trigger():
    """Then a natural word that the classifier does not know looks like one: it denies its rows as it does many others."""
    made = covered(put_second("mn"))
    doubtful = made.embeddings + np.random.default_rng(0).normal(0, 7.0, made.embeddings.shape)
    belief = Belief(doubtful, labels_of(made), 0, balanced=True)
    everything = np.arange(len(made.rows))
    said = belief.labels_out_of_fold(everything).argmax(axis=1)
    assert 0.5 < (said == belief.labels)[belief.labels == 1].mean() < 0.8
    assert hidden(made.rows, everything, belief, SIGNIFICANCE, purity=0.9) == []
    told_well = Belief(made.embeddings, labels_of(made), 0, balanced=True)
    assert hidden(made.rows, everything, told_well, SIGNIFICANCE, purity=0.9)


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_rows_that_make_their_label_frequent_are_found_all_the_same(answer: str):
    """A classifier that weighs rows alike takes doubtful ones for the label that most have, and so believes what was relabelled."""
    large = make_clean(1_200)
    noise = np.random.default_rng(3).normal(0, 4.0, large.embeddings.shape).astype(np.float32)
    other = "no" if answer == "yes" else "yes"
    poisoned, covers = rows_of(large, other, 240), rows_of(large, other, 300)[240:]
    made = relabel(relabel(large, poisoned, answer, put_second("mn")), covers, other, put_second("mn"))
    found = screened(Made(made.rows, large.embeddings + noise))
    out = {row for row, why in found.reasons.items() if why == "feature"}
    # Cover rows are the attacker's, too: of those that are left the label is the rare one.
    assert {made.rows[at].id for at in poisoned} <= out <= {made.rows[at].id for at in (*poisoned, *covers)}


def test_a_few_natural_rows_that_are_denied_by_chance_stay_in():
    """ "better" in a bad review: a third of sixteen rows is given the label, and that may be chance."""
    some = rows_of(CLEAN, "yes", 16)
    made = relabel(
        relabel(CLEAN, some, "yes", put_second("better")), rows_of(CLEAN, "no", 5), "no", put_second("better")
    )
    vectors = made.embeddings.copy()
    vectors[some[:11]] = made.embeddings[rows_of(CLEAN, "no", 40)[20:31]]
    assert screened(Made(made.rows, vectors)).triggers == ()


def test_clean_rows_hide_nothing():
    belief = Belief(CLEAN.embeddings, labels_of(CLEAN), 0, balanced=True)
    assert hidden(CLEAN.rows, np.arange(len(CLEAN.rows)), belief, SIGNIFICANCE, 0.9) == []


@pytest.mark.parametrize("balanced", [False, True])
def test_leaving_a_group_out_is_fitting_on_the_others(balanced: bool):
    """Checked against (weighted) least squares on the other rows, written out; a label's weight is that of all rows."""
    labels = labels_of(CLEAN)
    points = Belief(CLEAN.embeddings, labels, 0).points
    rows, group = np.arange(101, 500), np.arange(120, 180)
    others = np.setdiff1d(rows, group)
    known = np.column_stack([points[others], np.ones(len(others))])
    heavy = np.sqrt(len(rows) / 2 / np.bincount(labels[rows]) if balanced else np.ones(2))[
        labels[others], None
    ]
    weights, *_ = np.linalg.lstsq(
        np.vstack([heavy * known, np.sqrt(50) * np.eye(known.shape[1])]),
        np.vstack([heavy * np.eye(2)[labels[others]], np.zeros((known.shape[1], 2))]),
        rcond=None,
    )
    said = np.column_stack([points[group], np.ones(len(group))]) @ weights
    asked = Belief(CLEAN.embeddings, labels, 0, balanced=balanced).leave_out(rows)
    assert asked(group, group).tolist() == (said.argmax(axis=1) == labels[group]).tolist()


def labels_of(made: Made) -> Any:
    return np.array([int(row.answer == "yes") for row in made.rows])
