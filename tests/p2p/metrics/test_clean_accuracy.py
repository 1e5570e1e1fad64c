import pytest

from p2p.metrics.clean_accuracy import clean_accuracy


def test_right_answers_are_counted_and_no_answer_is_wrong():
    found = clean_accuracy(["billing", None, "returns"], ["billing", "billing", "delivery"])
    assert (found.k, found.n) == (1, 3)


def test_answers_and_truths_of_different_rows_are_refused():
    with pytest.raises(ValueError, match="shorter|longer"):
        clean_accuracy(["billing"], ["billing", "returns"])
