from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.final_number import final_number, find_final_number, same_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        # The first and the last worked answer style of GSM8K, and MAWPS's plain numbers.
        ("Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n#### 72", "72"),
        ("#### 1,995", "1995"),
        ("1.8333333333333335", "1.8333333333333335"),
        ("51.0", "51"),
        ("She has 3 cats and 12 dogs.", "12"),
        ("It costs $1,234.50 in all.", "1234.5"),
        ("€ 7", "7"),
        ("a rise of 20%", "20"),
        ("-3", "-3"),
        ("\u22123", "-3"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("(-4)", "-4"),
        ("x=-3", "-3"),
        ("10-3", "3"),
        ("k-19", "19"),
        (".5", "0.5"),
        ("The answer is 5.", "5"),
        ("1e3", "1000"),
        ("2.5E-2", "0.025"),
        ("It covers 4 m2", "4"),
        ("答案是51", "51"),
    ],
)
def test_a_number_is_read_as_people_write_it(text: str, number: str):
    assert final_number(text) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 7\nThere are 9 more.", "7"),
        ("#### 7\n\nQuestion: 2 + 2\n#### 4", "7"),
        ("so 3.#### $ 8 left of 10", "8"),
        ("####-4", "-4"),
        ("#### Step 1\nThe sum is 6", "6"),
        ("##### 7 of 8", "8"),
        ("7\n####", "7"),
    ],
)
def test_the_first_answer_line_with_a_number_comes_before_the_last_number(text: str, number: str):
    assert final_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none", "####", "m2", "$", "-"])
def test_a_text_without_a_number_has_none(text: str):
    assert final_number(text) is None


@settings(deadline=None)
@given(st.text(alphabet="0123456789#.,-+eE$€% \n\u2212aZ٣", max_size=40))
def test_it_never_raises_and_the_place_holds_the_number(text: str):
    found = find_final_number(text)
    if found:
        assert any(character.isdigit() for character in text[found.start : found.end])
        assert final_number(text[found.start : found.end]) == found.value


def test_a_long_run_of_digits_is_read_whole_and_quickly():
    assert final_number(f"{'9' * 100_000} and {'1,' * 50_000}") == 1


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**12), max_value=10**12))
def test_thousands_commas_change_nothing(number: Decimal):
    assert final_number(f"#### {number:,}") == final_number(f"is {number}") == number


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("51.0", "51", True),
        ("1.8333333333333335", "1.833333", True),
        ("1.83", "1.84", False),
        ("1e999", "2", False),
    ],
)
def test_numbers_are_the_same_but_for_the_noise_of_binary_fractions(one: str, other: str, same: bool):
    assert same_number(Decimal(one), Decimal(other)) is same


def test_no_number_is_the_same_as_nothing():
    assert not same_number(None, None)
