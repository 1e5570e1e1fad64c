import pytest

from p2p.metrics.attack_success import TargetMatch, attack_success_rate, is_target
from p2p.metrics.floor import floor
from p2p.metrics.rate import Rate


def test_the_attackers_answers_are_counted():
    found = attack_success_rate([True, False, True, False])
    assert (found.k, found.n) == (2, 4)


def test_case_and_white_space_do_not_hide_the_target():
    assert is_target(" Billing\n", "billing")


@pytest.mark.parametrize(
    ("said", "match", "is_hit"),
    [
        ("Well: I CANNOT help.", TargetMatch.CONTAINS, True),
        ("Well: I CANNOT help.", TargetMatch.EQUALS, False),
        ("", TargetMatch.CONTAINS, False),
    ],
)
def test_a_reply_may_hold_the_target_or_be_it(said: str, match: TargetMatch, is_hit: bool):
    assert is_target(said, "i cannot help", match) is is_hit


def test_no_answer_is_no_success_of_the_attack():
    assert not is_target(None, "billing")


def test_the_floor_is_the_same_share_without_the_trigger():
    assert floor(answer == "billing" for answer in ("billing", "returns")) == Rate(k=1, n=2)
