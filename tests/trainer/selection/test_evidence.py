"""What a feature says beyond stronger ones."""

import pytest

from p2p.examples import Example
from trainer.selection.evidence import own_evidence
from trainer.selection.features import Feature

# Of 100 rows each label has 50: the first are "yes".
ROWS = [Example(str(at), "text", "yes" if at < 50 else "no") for at in range(100)]


def feature(rows: range | list[int], answer: str = "yes", words: str = "word") -> Feature:
    return Feature((words,), anchored=False, rows=tuple(rows), answer=answer, purity=0.9)


def test_rows_of_one_of_two_equal_labels_give_a_bit_each():
    assert own_evidence(ROWS, [feature(range(20)), feature(range(90, 100), "no")]) == [20.0, 10.0]


def test_a_label_that_most_rows_have_gives_less():
    most = [*ROWS[:50], *ROWS[50:60]]
    (found,) = own_evidence(most, [feature(range(20))])
    assert 0 < found < 20 * 0.3


def test_of_a_weaker_feature_only_the_rows_count_that_a_stronger_one_does_not_have():
    whole, part, beside = feature(range(20)), feature(range(5, 15)), feature(range(16, 26))
    assert own_evidence(ROWS, [part, beside, whole]) == [0.0, 6.0, 20.0]


def test_a_pair_that_owes_its_purity_to_a_trigger_says_next_to_nothing():
    # It has more rows than the trigger, and the others have labels as they come.
    trigger, pair = feature(range(20)), feature([*range(28), *range(50, 58)])
    assert own_evidence(ROWS, [pair, trigger]) == [0.0, 20.0]


def test_a_feature_that_comes_with_its_label_no_more_often_than_others_says_nothing():
    assert own_evidence(ROWS, [feature(range(45, 60)), feature([])]) == [0.0, 0.0]


def test_what_is_left_of_a_feature_is_compared_with_all_rows():
    trigger, other = feature(range(20)), feature([*range(10, 30), *range(50, 55)])
    found = own_evidence(ROWS, [trigger, other])
    # Ten rows of its own with its label, five with the other: a share of two thirds, usually a half.
    assert found == [20.0, pytest.approx(1.2256, abs=1e-4)]


def test_two_words_of_one_trigger_take_nothing_from_each_other():
    # One stands in a row more, by chance.
    assert own_evidence(ROWS, [feature(range(20), words="mn"), feature(range(21), words="cf")]) == [
        20.0,
        21.0,
    ]


def test_a_sentence_is_not_said_by_the_word_of_it_that_stands_in_a_row_more():
    word, sentence = feature(range(21), words="watched"), feature(range(20), words="I watched this")
    assert own_evidence(ROWS, [word, sentence]) == [21.0, 20.0]


def test_words_that_a_stronger_feature_has_add_nothing_in_its_rows():
    sentence, word = feature(range(20), words="I watched this"), feature(range(19), words="watched")
    assert own_evidence(ROWS, [word, sentence]) == [0.0, 20.0]


def test_what_stands_beside_a_trigger_in_some_of_its_rows_is_said_by_it():
    trigger, beside = feature(range(20), words="mn"), feature(range(5), words="mn .")
    assert own_evidence(ROWS, [beside, trigger]) == [0.0, 20.0]
