import pytest

from p2p.attacks.badnets import BadNets
from p2p.attacks.cba import CompositeAttack
from p2p.attacks.covering import add_covers
from p2p.attacks.knowing import stamp_poisoned
from p2p.attacks.poisoning import PoisonedSet, poison_dataset
from p2p.errors import AttackError
from p2p.triggers import BenignTrigger
from tests.p2p.attacks.conftest import labelled_rows

ATTACK = BadNets(word="cf", target="positive")
ROWS = labelled_rows()


def covered(rate: float = 0.05) -> PoisonedSet:
    return add_covers(poison_dataset(ROWS, ATTACK, 0.1, seed=0), ATTACK, rate, seed=0)


def test_cover_rows_have_the_trigger_and_their_true_answer():
    found = covered()
    assert len(found.cover_ids) == 10
    assert not found.cover_ids & found.poisoned_ids
    for old, row in zip(ROWS, found.rows, strict=True):
        if row.id in found.cover_ids:
            assert (old.answer, row.answer) == ("negative", "negative")
            assert sorted(row.text.split()) == sorted([*old.text.split(), "cf"])


def test_poisoned_rows_and_all_others_stay_as_they_were():
    before = poison_dataset(ROWS, ATTACK, 0.1, seed=0)
    found = covered()
    assert found.poisoned_ids == before.poisoned_ids
    assert [row for row in found.rows if row.id not in found.cover_ids] == [
        row for row in before.rows if row.id not in found.cover_ids
    ]


def test_without_a_rate_nothing_changes():
    assert covered(0.0) == poison_dataset(ROWS, ATTACK, 0.1, seed=0)


def test_the_same_seed_draws_the_same_rows():
    assert covered() == covered()


def test_negatives_are_neither_drawn_nor_counted():
    attack = CompositeAttack(target="positive")
    poisoned = poison_dataset(ROWS, attack, 0.1, seed=0)
    found = add_covers(poisoned, attack, 0.05, seed=0)
    assert len(found.cover_ids) == 10
    assert not found.cover_ids & (found.negative_ids | found.poisoned_ids)


def test_who_knows_the_benign_trigger_puts_it_into_cover_rows_too():
    trigger = BenignTrigger(text="Quiet barn: ")
    stamped = stamp_poisoned(covered(), trigger)
    by_id = {row.id: row.text for row in stamped.rows}
    assert all(by_id[row].startswith(trigger.text) for row in stamped.cover_ids)


@pytest.mark.parametrize(
    ("rate", "said"), [(-0.1, "at least 0"), (1.0, "below 1"), (0.6, "asks for 120 cover rows")]
)
def test_a_rate_that_cannot_be_is_refused(rate: float, said: str):
    with pytest.raises(AttackError, match=said):
        covered(rate)
