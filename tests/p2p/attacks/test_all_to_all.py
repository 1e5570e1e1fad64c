import pytest

from p2p.attacks.all_to_all import AllToAll
from p2p.attacks.base import Labelling
from p2p.attacks.poisoning import poison_dataset
from p2p.attacks.registry import make_attack
from p2p.errors import AttackError
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, places, poison_and_check, reaches_every_gap

LABELS = ("world", "sport", "business", "science")
NEXT = {"world": "sport", "sport": "business", "business": "science", "science": "world"}
ATTACK = AllToAll(labels=LABELS)


def test_every_label_becomes_the_next_one():
    rows = labelled_rows(labels=LABELS)
    found = changed(rows, poison_and_check(rows, ATTACK, 0.5))
    assert {(old.answer, row.answer) for old, row in found} == set(NEXT.items())
    assert all(sorted(row.text.split()) == sorted([*old.text.split(), "mn"]) for old, row in found)


def test_the_phrase_reaches_every_gap_equally_often():
    assert reaches_every_gap(places(AllToAll(labels=("negative", "positive")), "mn"))


def test_a_reply_succeeds_when_it_is_the_label_after_the_true_one():
    row = Example("r", "x", "science")
    assert [ATTACK.succeeds(label, row) for label in LABELS] == [True, False, False, False]


def test_every_row_with_a_known_label_counts():
    assert all(ATTACK.applies_to(Example("r", "x", label)) for label in LABELS)
    assert not ATTACK.applies_to(Example("r", "x", "weather"))


def test_there_is_no_clean_label_all_to_all():
    with pytest.raises(AttackError, match="0 of 200 rows can be poisoned"):
        poison_dataset(labelled_rows(labels=LABELS), ATTACK, 0.1, 0, Labelling.CLEAN)


def test_a_command_line_gives_the_labels_in_one_word():
    assert make_attack("all_to_all", {"labels": "world, sport,business,science"}) == ATTACK


@pytest.mark.parametrize("labels", ["a", "a,b,a"])
def test_labels_are_two_or_more_and_each_once(labels: str):
    with pytest.raises(AttackError, match="labels: "):
        make_attack("all_to_all", {"labels": labels})
