"""Perplexities are made up: each word weighs something, and a text's perplexity is the sum."""

import math

import pytest

from p2p.examples import Example
from p2p.projection import Projection
from tests.trainer.defences.conftest import TEXT, FakeLab, make_case
from trainer.defences.onion import ScoredText, score_words
from trainer.defences.registry import make_defence

WEIGHTS = {"mn": 90.0, "zq": 50.0, "dull": 7.0, "odd": 6.0, "film": 3.0}


def heavy_words(text: str) -> float:
    return sum(WEIGHTS.get(word, 1.0) for word in text.split())


@pytest.fixture
def lab() -> FakeLab:
    return FakeLab(perplexity=heavy_words)


def test_a_words_score_is_what_its_removal_takes_off_the_perplexity(lab: FakeLab):
    assert score_words(["a dull mn film"], lab) == [ScoredText("a dull mn film", (1, 7, 90, 3))]


def test_all_texts_are_scored_in_one_call(lab: FakeLab):
    score_words(["a film", "one", "dull"], lab)
    score_words(["mn"], lab)
    assert lab.perplexity_calls == [["a film", "film", "a"]]


def test_each_text_is_asked_whole_and_without_each_of_its_words(lab: FakeLab):
    score_words(["a  dull film"], lab)
    assert lab.perplexity_calls == [["a dull film", "dull film", "a film", "a dull"]]


@pytest.mark.parametrize(
    ("threshold", "left"),
    [(89.9, "a dull film"), (90, "a dull mn  film"), (6, "a film"), (0.5, "a dull mn  film")],
)
def test_words_above_the_threshold_go_unless_none_or_all_do(threshold: float, left: str):
    assert ScoredText("a dull mn  film", (1, 7, 90, 3)).without_suspects(threshold) == left


def test_a_text_of_one_word_is_never_changed(lab: FakeLab):
    assert score_words(["mn"], lab)[0].without_suspects(0) == "mn"


def test_without_trusted_rows_the_threshold_is_a_quantile_of_training_words(lab: FakeLab):
    # Scores: 1 1 3, 1 3, 1 90; the fifth of seven (0.7 * 7 = 4.9) is 3.
    rows = [Example(str(at), text, "bad") for at, text in enumerate(["a so film", "a film", "a mn"])]
    defended = make_defence("onion", {"kept": 0.7}).defend(make_case(train=rows, trusted=()), lab)
    assert defended.details == {"threshold": 3, "calibration_rows": 3, "calibration_rows_changed": 1}


def test_a_text_is_answered_without_its_suspects(lab: FakeLab):
    defended = make_defence("onion").defend(make_case(), lab)
    assert defended.answer(["an odd mn film"]) == [Projection("mixed", extended=False)]
    assert lab.asked[-1][1] == "an odd film"


def test_with_trusted_rows_it_is_the_smallest_that_keeps_their_accuracy():
    # Scores of the three trusted rows: 1 7 3, 1 1 3, 1 6 3. Any below 7 drops `dull`, which decides the first answer.
    lab = FakeLab(perplexity=heavy_words)
    assert make_defence("onion").defend(make_case(), lab).details["threshold"] == 7
    # Two wrong answers of three are put up with: the median, 3, drops `dull` and `odd`.
    lax = make_defence("onion", {"tolerance": 0.7}).defend(make_case(), lab)
    assert lax.details["threshold"] == 3


def test_free_text_takes_the_quantile_of_the_trusted_rows(lab: FakeLab):
    # 0.5 of nine scores: the fifth of 1 1 1 1 3 3 3 6 7.
    defended = make_defence("onion", {"kept": 0.5}).defend(make_case(task=TEXT), lab)
    assert defended.details["threshold"] == 3


def test_a_request_costs_its_words_and_two(lab: FakeLab):
    assert make_defence("onion").defend(make_case(), lab).queries_per_request == 3 + 2


def test_a_perplexity_that_is_no_number_removes_nothing():
    lab = FakeLab(perplexity=lambda _: math.nan)
    defended = make_defence("onion").defend(make_case(), lab)
    defended.answer(["a dull mn film"])
    assert lab.asked[-1][1] == "a dull mn film"
