import pytest

from p2p.attacks.registry import ATTACKS, make_attack
from p2p.errors import AttackError


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_is_made_by_its_name(name: str):
    assert make_attack(name, {"target": "billing"}).name == name


def test_a_misspelt_name_gets_the_nearest_one():
    with pytest.raises(AttackError, match="did you mean 'badnets'"):
        make_attack("badnet", {"target": "billing"})


def test_an_unknown_parameter_is_named_with_the_known_ones():
    with pytest.raises(AttackError, match="takes target, word.*wrod"):
        make_attack("badnets", {"target": "billing", "wrod": "mn"})


def test_a_missing_target_is_named():
    with pytest.raises(AttackError, match="target: Field required"):
        make_attack("addsent", {})
