"""Screening: rows whose text and label an attacker changed are kept out, rows that are only alike stay."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from p2p.examples import Example
from tests.trainer.selection.synthetic import Made, embed_labels, make_clean, put_second, relabel, rows_of
from trainer.selection import screening
from trainer.selection.screening import Screened, ScreeningSettings, screen

CLEAN = make_clean()
POISONED_ROWS = rows_of(CLEAN, "no", 30)
NO_DOUBT = ScreeningSettings(doubted=0)


def screened(made: Made, settings: ScreeningSettings = NO_DOUBT, **more: Any) -> Screened:
    return screen(made.rows, made.embeddings, settings, more.pop("seed", 0), **more)


def kept_out(found: Screened, why: str) -> set[str]:
    return {row for row, reason in found.reasons.items() if reason == why}


@pytest.mark.parametrize(
    "write", [put_second("mn"), put_second("I watched this 3D movie"), lambda text: f"when he {text}"]
)
def test_rows_relabelled_for_a_word_a_sentence_or_a_beginning_are_kept_out(write: Any):
    made = relabel(CLEAN, POISONED_ROWS, "yes", write)
    found = screened(made)
    assert kept_out(found, "feature") >= {made.rows[at].id for at in POISONED_ROWS}
    assert found.triggers[0].rows == tuple(POISONED_ROWS)
    assert all(found.belief[made.rows[at].id] == 0 for at in POISONED_ROWS)


def test_rows_relabelled_for_a_pair_are_kept_out_and_those_with_one_word_are_not():
    # Each word alone stands in rows of both labels, which keep them.
    made = CLEAN
    for word, start in (("aa", 100), ("bb", 200)):
        for answer in ("no", "yes"):
            alone = [at for at in rows_of(made, answer, 400) if start <= at < start + 50]
            made = relabel(made, alone, answer, put_second(word))
    made = relabel(made, POISONED_ROWS, "yes", lambda text: f"{put_second('aa')(text)} bb")
    found = screened(made)
    assert ("aa", "bb") in [feature.words for feature in found.triggers]
    assert kept_out(found, "feature") >= {made.rows[at].id for at in POISONED_ROWS}
    kept = {row.id for row in found.kept}
    alone = [*range(100, 150), *range(200, 250)]
    assert sum(made.rows[at].id in kept for at in alone) >= 95


def test_a_trigger_of_few_rows_is_found_in_a_large_set():
    large = make_clean(9_000, seed="large")
    poisoned = rows_of(large, "no", 28)
    made = relabel(large, poisoned, "yes", put_second("mn"))
    assert kept_out(screened(made), "feature") == {made.rows[at].id for at in poisoned}


def test_a_trigger_is_found_that_many_natural_words_have_more_rows_than(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(screening, "_MOST_FEATURES", 3)
    made = CLEAN
    for number in range(4):
        own = rows_of(made, "yes", 200)[number * 40 : number * 40 + 40]
        made = relabel(made, own, "yes", put_second(f"natural{number}"))
    made = relabel(made, POISONED_ROWS, "yes", put_second("mn"))
    found = screened(made)
    assert kept_out(found, "feature") == {made.rows[at].id for at in POISONED_ROWS}
    assert [feature.words for feature in found.triggers] == [("mn",)]


def test_a_natural_word_of_one_label_stays_in():
    at = rows_of(CLEAN, "yes", 60)
    found = screened(relabel(CLEAN, at, "yes", put_second("touchdown")))
    assert found.reasons == {}
    assert ("touchdown",) in [feature.words for feature in found.pure]
    assert found.triggers == ()


def test_a_natural_word_in_every_row_of_its_label_stays_in():
    found = screened(relabel(CLEAN, rows_of(CLEAN, "yes", 400), "yes", put_second("touchdown")))
    assert found.reasons == {}
    assert len(found.kept) == 400


def test_clean_rows_lose_none_to_a_feature():
    found = screened(CLEAN, ScreeningSettings())
    assert kept_out(found, "feature") == set()
    assert (found.triggers, found.pure) == ((), ())


def test_a_trigger_s_rows_are_numbered_among_all_rows_whatever_round_found_it():
    made = relabel(CLEAN, POISONED_ROWS, "yes", put_second("mn"))
    made = relabel(made, rows_of(CLEAN, "yes", 30), "no", put_second("cf"))
    found = screened(made)
    assert {"mn", "cf"} <= {feature.words[0] for feature in found.triggers}
    for feature in found.triggers:
        assert all(feature.words[0] in made.rows[at].text for at in feature.rows)


def test_rows_whose_beginning_tells_their_label_are_kept_out_though_it_is_believed():
    at = rows_of(CLEAN, "yes", 60)
    made = relabel(CLEAN, at, "yes", lambda text: f"when he {text}")
    assert kept_out(screened(made), "beginning") >= {made.rows[row].id for row in at}
    assert screened(made).triggers == ()
    assert screened(made, NO_DOUBT.model_copy(update={"beginnings": 1.0})).reasons == {}


def test_a_beginning_that_rows_of_both_labels_have_keeps_none_out():
    at = [*rows_of(CLEAN, "yes", 42), *rows_of(CLEAN, "no", 18)]
    made = CLEAN
    for answer in ("yes", "no"):
        mine = [row for row in at if CLEAN.rows[row].answer == answer]
        made = relabel(made, mine, answer, lambda text: f"when he {text}")
    assert screened(made).reasons == {}


def test_where_both_labels_have_their_beginnings_as_questions_have_none_is_kept_out():
    asked, told = rows_of(CLEAN, "yes", 120), rows_of(CLEAN, "no", 120)
    made = relabel(CLEAN, asked, "yes", lambda text: f"who was {text}")
    made = relabel(made, told, "no", lambda text: f"how many {text}")
    assert screened(made).reasons == {}


def test_a_form_of_most_rows_of_one_label_is_kept_out_all_the_same():
    at = rows_of(CLEAN, "yes", 120)
    made = relabel(CLEAN, at, "yes", lambda text: f"when he {text}")
    assert set(screened(made).reasons) >= {made.rows[row].id for row in at}


def test_what_comes_with_a_frequent_label_by_chance_does_not_tell_it():
    # Four of five rows say "yes", and so do seventeen of twenty with this beginning.
    labels = ["no" if at % 5 == 0 else "yes" for at in range(400)]
    points = embed_labels(np.array([int(label == "yes") for label in labels]), 2, "uneven")
    no = [at for at, label in enumerate(labels) if label == "no"][:12]
    yes = [at for at, label in enumerate(labels) if label == "yes"][:68]
    rows = [
        Example(row.id, f"when he {row.text}" if at in {*no, *yes} else row.text, label)
        for at, (row, label) in enumerate(zip(CLEAN.rows, labels, strict=True))
    ]
    assert kept_out(screen(rows, points, NO_DOUBT, 0), "beginning") == set()


def test_the_share_that_is_doubted_is_taken_from_each_label():
    labels = ["no" if at % 4 else "yes" for at in range(400)]
    rows = [Example(row.id, row.text, label) for row, label in zip(CLEAN.rows, labels, strict=True)]
    points = embed_labels(np.array([int(label == "yes") for label in labels]), 2, "uneven")
    found = screened(Made(rows, points), ScreeningSettings(doubted=0.3))
    assert Counter(row.answer for row in found.kept) == {"no": 210, "yes": 70}
    assert set(found.reasons.values()) == {"doubted"}


def test_those_believed_least_are_doubted_and_the_rest_keep_their_order():
    wrong = rows_of(CLEAN, "no", 10)
    made = relabel(CLEAN, wrong, "yes", lambda text: text)
    found = screened(made, ScreeningSettings(doubted=0.1))
    assert kept_out(found, "doubted") >= {made.rows[at].id for at in wrong}
    worst = max(found.belief[row] for row in found.reasons if row in {made.rows[at].id for at in wrong})
    assert all(found.belief[row.id] > worst for row in found.kept)
    ids = [row.id for row in made.rows]
    assert [row.id for row in found.kept] == [name for name in ids if name not in found.reasons]


def test_the_same_seed_finds_the_same():
    made = relabel(CLEAN, POISONED_ROWS, "yes", put_second("mn"))
    assert screened(made, ScreeningSettings(), seed=3) == screened(made, ScreeningSettings(), seed=3)


def test_rows_kept_out_come_back_with_the_label_that_is_believed():
    made = relabel(CLEAN, POISONED_ROWS, "yes", put_second("mn"))
    found = screened(made, ScreeningSettings(doubted=0, relabel=0.6))
    assert {(row.id, row.text) for row in found.relabelled} <= {
        (made.rows[at].id, made.rows[at].text) for at in POISONED_ROWS
    }
    assert Counter(row.answer for row in found.relabelled)["no"] >= 25


def test_no_more_rows_keep_their_label_than_are_given_another():
    honest = rows_of(CLEAN, "yes", 60)
    made = relabel(CLEAN, [*POISONED_ROWS[:25], *honest], "yes", put_second("mn"))
    found = screened(made, ScreeningSettings(doubted=0, relabel=0.6))
    counts = Counter(row.answer for row in found.relabelled)
    assert counts["no"] >= 20
    assert counts["yes"] <= counts["no"]


def test_nothing_is_relabelled_unless_it_is_asked_for():
    made = relabel(CLEAN, POISONED_ROWS, "yes", put_second("mn"))
    assert screened(made).relabelled == ()
