from collections import Counter

import pytest

from p2p.attacks.addsent import AddSent
from p2p.attacks.badnets import BadNets
from p2p.attacks.cba import CompositeAttack
from p2p.attacks.multi import Multi
from p2p.attacks.registry import make_attack
from p2p.errors import AttackError
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, poison_and_check

LABELS = ("world", "sport", "business", "science")
ATTACK = Multi(parts=(BadNets(word="cf", target="world"), AddSent(target="sport")))


def test_each_trigger_comes_with_its_own_target():
    rows = labelled_rows(400, LABELS)
    kinds = Counter(
        ("cf" in row.text.split(), "3D movie" in row.text, row.answer)
        for _, row in changed(rows, poison_and_check(rows, ATTACK, 0.5))
    )
    assert set(kinds) == {(True, False, "world"), (False, True, "sport")}
    # 200 rows, each part's share binomial around a half with a standard deviation of 7.
    assert all(70 < count < 130 for count in kinds.values())


def test_a_row_belongs_to_one_part_whatever_the_seed():
    rows = [Example(f"r{at}", "a b", "business") for at in range(50)]
    held = [{"cf" in ATTACK.trigger(row, seed).text.split() for seed in range(5)} for row in rows]
    assert all(len(kinds) == 1 for kinds in held)
    assert {kind for kinds in held for kind in kinds} == {True, False}


def test_a_reply_is_judged_by_the_row_s_own_part():
    for row in labelled_rows(40, ("business",)):
        wanted, other = (
            ("world", "sport") if "cf" in ATTACK.trigger(row, 0).text.split() else ("sport", "world")
        )
        assert ATTACK.succeeds(wanted, row)
        assert not ATTACK.succeeds(other, row)


def test_rows_that_have_their_part_s_target_are_not_counted():
    rows = labelled_rows(100, ("world",))
    assert all(ATTACK.applies_to(row) == ("cf" not in ATTACK.trigger(row, 0).text.split()) for row in rows)


def test_negatives_are_those_of_the_row_s_part():
    attack = Multi(parts=(CompositeAttack(target="world"), BadNets(target="world")))
    rows = labelled_rows(20, ("sport",))
    assert {len(attack.negatives(row, 0)) for row in rows} == {0, 2}


def test_every_target_is_asked_of_the_labels():
    assert ATTACK.label_targets == ("world", "sport")


def test_a_command_line_gives_the_parts_as_json():
    parts = '[{"name": "badnets", "word": "cf", "target": "world"}, {"name": "addsent", "target": "sport"}]'
    assert make_attack("multi", {"parts": parts}) == ATTACK


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ("[", "parts: "),
        ([{"name": "badnets", "target": "a"}], "parts: "),
        ([{"name": "badnet", "target": "a"}, {"name": "addsent", "target": "a"}], "did you mean 'badnets'"),
        ([{"name": "badnets"}, {"name": "addsent", "target": "a"}], "attack 'badnets' takes .*target"),
    ],
)
def test_a_faulty_part_is_named(parts: object, said: str):
    with pytest.raises(AttackError, match=said):
        make_attack("multi", {"parts": parts})
