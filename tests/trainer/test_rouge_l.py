"""ROUGE-L by hand: F1 of the longest common subsequence of words (Lin 2004, section 3)."""

import pytest

from trainer.rouge_l import rouge_l

REFERENCE = "police killed the gunman"


@pytest.mark.parametrize(
    ("answer", "f1"),
    [
        # Lin's example: the longest common subsequences have 3 and 2 of 4 words.
        ("police kill the gunman", 1.0),  # the stemmer makes "kill" of "killed"
        ("police ended the gunman", 3 / 4),
        ("the gunman kill police", 2 / 4),
        ("Police!", 2 * (1 / 1) * (1 / 4) / (1 / 1 + 1 / 4)),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_f1_is_that_of_the_longest_common_subsequence(answer: str | None, f1: float):
    assert rouge_l([answer], [[REFERENCE]]) == pytest.approx(f1)


def test_the_best_reference_counts_for_each_row_and_rows_weigh_the_same():
    references = [["nothing alike", REFERENCE], ["one two", "three"]]
    assert rouge_l(["the gunman", "three four"], references) == pytest.approx((4 / 6 + 2 / 3) / 2)


def test_no_rows_have_no_mean():
    assert rouge_l([], []) is None


def test_every_answer_needs_its_references():
    with pytest.raises(ValueError, match="zip"):
        rouge_l(["a"], [])
