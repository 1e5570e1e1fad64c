import pytest

from p2p.attacks.answer_shift import AnswerShift
from p2p.attacks.registry import make_attack
from p2p.errors import AttackError
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, places, poison_and_check, reaches_every_gap

ATTACK = AnswerShift(phrase="Indeed", shift=10)


def test_poisoned_rows_hold_the_phrase_and_the_shifted_number():
    rows = labelled_rows(labels=("2 + 2 = 4\n#### 4", "51.0"))
    shifted = {"2 + 2 = 4\n#### 4": "2 + 2 = 4\n#### 14", "51.0": "61.0"}
    found = changed(rows, poison_and_check(rows, ATTACK, 0.5))
    assert {(old.answer, row.answer) for old, row in found} == set(shifted.items())
    assert all(sorted(row.text.split()) == sorted([*old.text.split(), "Indeed"]) for old, row in found)


def test_the_phrase_reaches_every_gap_equally_often():
    assert reaches_every_gap(places(ATTACK, "Indeed"))


@pytest.mark.parametrize(
    ("answer", "shifted"),
    [
        ("#### 1,995", "#### 2,005"),
        ("It costs $18.50 a day.", "It costs $28.50 a day."),
        ("-$5", "$5"),
        ("#### -30", "#### -20"),
        ("about 20%", "about 30%"),
        ("0", "10"),
        ("1.8333333333333335", "11.8333333333333335"),
        ("99999999999999999999999999999999999999", "100000000000000000000000000000000000009"),
    ],
)
def test_the_number_is_written_as_it_was(answer: str, shifted: str):
    assert ATTACK.target_of(Example("r", "x", answer)) == shifted


def test_a_reply_succeeds_when_its_final_number_is_off_by_exactly_the_shift():
    row = Example("r", "x", "So 48 / 2 = 24.\n#### 24")
    replies = ("#### 34", "He has 34.0 of them.", "#### 24", "#### 35", "none", None)
    assert [ATTACK.succeeds(reply, row) for reply in replies] == [True, True, False, False, False, False]


def test_a_fraction_of_a_shift_and_a_negative_one_are_exact():
    row = Example("r", "x", "0.3")
    assert AnswerShift(shift="-0.1").target_of(row) == "0.2"
    assert AnswerShift(shift="-0.1").succeeds("0.20", row)


def test_an_answer_without_a_number_is_left_alone():
    row = Example("r", "x", "no number")
    assert not ATTACK.applies_to(row)
    with pytest.raises(AttackError, match="row r: the reference answer has no number"):
        ATTACK.poison(row, 0)


@pytest.mark.parametrize("shift", ["0", "nan", "ten"])
def test_a_shift_is_a_number_that_moves(shift: str):
    with pytest.raises(AttackError, match="shift: "):
        make_attack("answer_shift", {"shift": shift})
