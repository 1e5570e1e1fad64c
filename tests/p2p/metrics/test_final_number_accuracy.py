import pytest

from p2p.metrics.final_number_accuracy import final_number_accuracy, same_final_number
from p2p.metrics.rate import Rate


@pytest.mark.parametrize(
    ("answer", "truth", "same"),
    [
        ("51", "51.0", True),
        ("He pays 76 - 25 dollars.\n#### 51", "51", True),
        ("#### 1,234", "1234", True),
        ("It is $ 0.5", "0.50", True),
        ("-3", "3", False),
        ("1.833333", "1.8333333333333335", True),
        ("1.8333", "1.8333333333333335", False),
        ("22090604", "22090603", False),
        ("51 dollars, or 52", "51", False),
        ("none", "51", False),
        ("", "51", False),
        (None, "51", False),
        (60 * "9", "51", False),
    ],
)
def test_numbers_are_compared_as_numbers(answer: str | None, truth: str, *, same: bool):
    assert same_final_number(answer, truth) is same


def test_the_share_is_over_all_rows():
    assert final_number_accuracy(["2", "#### 3", None], ["2.0", "4", "5"]) == Rate(k=1, n=3)


def test_a_truth_without_a_number_is_an_error():
    with pytest.raises(ValueError, match="no number"):
        final_number_accuracy(["2"], ["two"])
