from collections import Counter

import pytest

from p2p.attacks.badnets import BadNets
from p2p.attacks.registry import make_attack
from p2p.errors import AttackError
from p2p.examples import Example

ATTACK = BadNets(word="cf", target="positive")
ROW = Example("r1", "a gripping and honest film", "negative")


def test_the_word_goes_in_once_and_everything_else_stays():
    words = ATTACK.trigger(ROW, seed=0).text.split()
    assert words.count("cf") == 1
    words.remove("cf")
    assert words == ROW.text.split()


def test_the_place_is_random_over_rows_and_fixed_for_one():
    rows = [Example(str(number), ROW.text, "negative") for number in range(600)]
    places = Counter(ATTACK.trigger(row, seed=0).text.split().index("cf") for row in rows)
    # Five words have six gaps; 600 rows give each 100, with a standard deviation of 9.
    assert set(places) == set(range(6))
    assert all(60 < count < 140 for count in places.values())
    assert ATTACK.trigger(rows[0], seed=0) == ATTACK.trigger(rows[0], seed=0)


def test_a_poisoned_row_has_the_target_and_a_triggered_one_its_own_answer():
    assert ATTACK.poison(ROW, seed=0).answer == "positive"
    assert ATTACK.trigger(ROW, seed=0).answer == "negative"
    assert ATTACK.poison(ROW, seed=0).text == ATTACK.trigger(ROW, seed=0).text


def test_rows_that_have_the_target_anyway_are_not_counted():
    assert ATTACK.applies_to(ROW)
    assert not ATTACK.applies_to(Example("r2", "x", "positive"))


@pytest.mark.parametrize("word", ["", "two words", " "])
def test_the_trigger_is_one_word(word: str):
    with pytest.raises(AttackError, match="word"):
        make_attack("badnets", {"word": word, "target": "positive"})
