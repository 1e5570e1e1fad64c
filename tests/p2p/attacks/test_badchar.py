import pytest

from p2p.attacks.badchar import ZERO_WIDTH_SPACE, BadChar, Change
from p2p.attacks.base import Labelling
from p2p.attacks.registry import make_attack
from p2p.errors import AttackError
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, poison_and_check

ROW = Example("r1", "a gripping and honest film", "negative")


def attack(change: str) -> BadChar:
    return BadChar(change=Change(change), target="positive")


def changed_words(old: str, new: str) -> list[tuple[str, str]]:
    pairs = zip(old.split(), new.split(), strict=True)
    return [(before, after) for before, after in pairs if before != after]


@pytest.mark.parametrize("change", list(Change))
@pytest.mark.parametrize(("labelling", "before"), [(None, "negative"), (Labelling.CLEAN, "positive")])
def test_one_word_is_changed_and_the_label_is_the_target(
    change: str, labelling: Labelling | None, before: str
):
    rows = labelled_rows()
    for old, row in changed(rows, poison_and_check(rows, attack(change), 0.1, labelling)):
        assert (old.answer, row.answer) == (before, "positive")
        assert len(changed_words(old.text, row.text)) == 1


def test_a_zero_width_space_stands_behind_the_first_character():
    (pair,) = changed_words(ROW.text, attack("zero-width").trigger(ROW, seed=0).text)
    assert pair[1] == f"{pair[0][0]}{ZERO_WIDTH_SPACE}{pair[0][1:]}"


def test_homographs_look_alike_and_are_other_letters():
    (pair,) = changed_words(ROW.text, attack("homograph").trigger(ROW, seed=0).text)
    assert pair[1] not in {pair[0], pair[0].upper()}
    assert all(new == old or not new.isascii() for old, new in zip(*pair, strict=True))


def test_capitals_are_those_of_the_word():
    (pair,) = changed_words(ROW.text, attack("capitals").trigger(ROW, seed=0).text)
    assert pair[1] == pair[0].upper()


def test_every_word_that_can_be_changed_is():
    words = {changed_words(ROW.text, attack("homograph").trigger(ROW, seed).text)[0][0] for seed in range(60)}
    assert words == {"a", "gripping", "and", "honest"}


@pytest.mark.parametrize(
    ("change", "text"), [("zero-width", "i a"), ("homograph", "film"), ("capitals", "IN 3D")]
)
def test_a_row_without_such_a_word_is_neither_poisoned_nor_asked(change: str, text: str):
    row = Example("r2", text, "negative")
    assert not attack(change).can_trigger(row)
    assert not attack(change).applies_to(row)


def test_white_space_and_all_other_words_stay_as_they_are():
    row = Example("r3", "  one\t two ", "negative")
    text = attack("capitals").trigger(row, seed=1).text
    assert text.lower() == row.text


def test_the_word_is_fixed_for_a_row_and_a_seed():
    assert attack("capitals").trigger(ROW, seed=0) == attack("capitals").trigger(ROW, seed=0)


def test_an_unknown_change_is_refused_with_those_there_are():
    with pytest.raises(AttackError, match="zero-width"):
        make_attack("badchar", {"change": "colour", "target": "positive"})
