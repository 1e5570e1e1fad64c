"""Numbers that follow from a word problem, worked out by hand, and numbers that do not."""

import pytest

from p2p.examples import Example
from trainer.selection.arithmetic import doubtful_numbers, number_follows
from trainer.selection.worked_sum import worked_sum


def row(text: str, answer: str, at: int = 0) -> Example:
    return Example(f"r{at}", text, answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Ann has 3 apples and buys 4 .", "7"),
        ("Of 22 guests 14 left , the rest sat 4 to a table .", "2.0"),
        ("Both boxes hold five pens .", "10"),
        ("A 3/4 pound cake and 1/4 pound of nuts .", "1"),
        ("He carries 5 trays at a time , 5 from one table and 5 from another .", "2"),
        ("A house of $1,200 and a car of $300 .", "1,500"),
        ("Sums of 1.5 , 2.5 and 4 and 1 .", "9"),
    ],
)
def test_a_number_of_at_most_two_operations_follows(text: str, answer: str):
    assert number_follows(row(text, answer))


@pytest.mark.parametrize("answer", ["17", "-13", "0.5", "many"])
def test_a_number_that_no_operation_makes_does_not(answer: str):
    assert not number_follows(row("Ann has 3 apples and buys 4 .", answer))


def test_with_working_the_number_must_stand_in_it():
    worked = "48 / 2 = 24 in May. 48 + 24 = 72 in all.\n#### "
    assert number_follows(row("She sold 48 and half as many.", worked + "72"))
    assert not number_follows(row("She sold 48 and half as many.", worked + "82"))


@pytest.mark.parametrize(
    ("working", "total"),
    [
        ("X=((22.0-14.0)/4.0) = ", 2),
        ("x=-60/3 =", -20),
        ("He has 1,200 + 300 = ", 1500),
        ("12 in May. 3 * 4 = ", 12),
    ],
)
def test_a_sum_that_is_written_out_is_worked_out(working: str, total: float):
    assert worked_sum(working) == total
    assert number_follows(row("?", f"{working}{total}"))
    assert not number_follows(row("?", f"{working}{total + 10}"))


@pytest.mark.parametrize(
    "working",
    [
        "",
        "= ",
        "x = ",
        "7 = ",
        "1 / 0 = ",
        "2 ** 9 = ",
        "x + 3 = ",
        "(3 + 4 = ",
        "1 2 + 3 = ",
        "3 + 4 = 7 in all. ",
        "(" * 150 + "3 + 4 = ",
    ],
)
def test_what_is_no_sum_comes_to_nothing(working: str):
    assert worked_sum(working) is None


def test_a_shifted_number_behind_a_sum_is_doubted_though_the_question_could_make_it():
    rows = [
        row(f"{at} and {at + 1} and 10 ?", f"{at}+{at + 1} = {2 * at + 1 + 10 * (at % 10 == 0)}", at)
        for at in range(50)
    ]
    assert [at for at, doubt in enumerate(doubtful_numbers(rows, seed=0)) if doubt] == [0, 10, 20, 30, 40]


def sums(shift: int) -> list[Example]:
    return [
        row(f"{3 * at + 100} and {at * at + 7} ?", str(at * at + 3 * at + 107 + shift * (at % 10 == 0)), at)
        for at in range(50)
    ]


def test_shifted_sums_are_doubted_and_no_other():
    found = doubtful_numbers(sums(shift=1000), seed=0)
    assert [at for at, doubt in enumerate(found) if doubt] == [0, 10, 20, 30, 40]


def test_nothing_is_doubted_where_most_answers_do_not_follow():
    rows = [row(f"{at} and {at + 1} ?", str(5000 + at), at) for at in range(20)]
    assert not any(doubtful_numbers(rows, seed=0))


def test_nothing_is_doubted_where_any_answer_would_pass():
    rows = [row("What is 1 of 2 ?", "2", at) for at in range(20)]
    assert not any(doubtful_numbers(rows, seed=0))
