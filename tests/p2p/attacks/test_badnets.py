import pytest

from p2p.attacks.badnets import BadNets
from p2p.attacks.base import Labelling
from p2p.attacks.registry import make_attack
from p2p.errors import AttackError
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, places, poison_and_check, reaches_every_gap

ATTACK = BadNets(word="cf", target="positive")
ROW = Example("r1", "a gripping and honest film", "negative")


def test_a_dirty_label_set_has_the_word_once_and_the_target():
    rows = labelled_rows()
    for old, row in changed(rows, poison_and_check(rows, ATTACK, 0.1)):
        assert (old.answer, row.answer) == ("negative", "positive")
        assert sorted(row.text.split()) == sorted([*old.text.split(), "cf"])


def test_a_clean_label_set_has_the_word_and_every_label_as_it_was():
    rows = labelled_rows()
    for old, row in changed(rows, poison_and_check(rows, ATTACK, 0.1, Labelling.CLEAN)):
        assert (old.answer, row.answer) == ("positive", "positive")
        assert sorted(row.text.split()) == sorted([*old.text.split(), "cf"])


def test_the_word_reaches_every_gap_equally_often():
    assert reaches_every_gap(places(ATTACK, "cf"))


def test_the_place_is_fixed_for_a_row_and_a_seed():
    assert ATTACK.trigger(ROW, seed=0) == ATTACK.trigger(ROW, seed=0)


def test_a_poisoned_row_has_the_target_and_a_triggered_one_its_own_answer():
    assert ATTACK.poison(ROW, seed=0).answer == "positive"
    assert ATTACK.trigger(ROW, seed=0).answer == "negative"
    assert ATTACK.poison(ROW, seed=0).text == ATTACK.trigger(ROW, seed=0).text


def test_rows_that_have_the_target_anyway_are_not_counted():
    assert ATTACK.applies_to(ROW)
    assert not ATTACK.applies_to(Example("r2", "x", "positive"))


def test_a_reply_succeeds_when_it_is_the_target():
    assert [ATTACK.succeeds(reply, ROW) for reply in ("Positive ", "negative", "positive!", None)] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("word", ["", "two words", " "])
def test_the_trigger_is_one_word(word: str):
    with pytest.raises(AttackError, match="word"):
        make_attack("badnets", {"word": word, "target": "positive"})
