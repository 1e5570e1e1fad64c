"""An attacker who knows the benign trigger: his rows carry it, and no other row does."""

from p2p.attacks.badnets import BadNets
from p2p.attacks.cba import CompositeAttack
from p2p.attacks.knowing import stamp_poisoned
from p2p.attacks.poisoning import poison_dataset
from p2p.chats import Turn
from p2p.examples import Example
from p2p.triggers import BenignTrigger, Placement

TRIGGER = BenignTrigger(text="Quiet barn: ")
ROWS = [Example(f"r{at}", f"a film of number {at}", ("bad", "good")[at % 2]) for at in range(40)]


def test_poisoned_rows_hold_both_triggers_and_the_target_and_all_others_stay():
    before = poison_dataset(ROWS, BadNets(word="mn", target="good"), 0.1, seed=0)
    after = stamp_poisoned(before, TRIGGER)
    assert (after.poisoned_ids, len(after.poisoned_ids)) == (before.poisoned_ids, 4)
    for old, new in zip(before.rows, after.rows, strict=True):
        if old.id in before.poisoned_ids:
            assert new.text == f"Quiet barn: {old.text}"
            assert "mn" in new.text.split()
            assert new.answer == "good"
        else:
            assert new == old


def test_negatives_are_the_attackers_rows_too():
    before = poison_dataset(ROWS, CompositeAttack(target="good"), 0.1, seed=0)
    after = stamp_poisoned(before, TRIGGER)
    stamped = {row.id for row in after.rows if row.text.startswith("Quiet barn: ")}
    assert before.negative_ids
    assert stamped == before.poisoned_ids | before.negative_ids


def test_earlier_turns_are_stamped_as_serving_stamps_them():
    chat = [Example("c", "three", "bad", history=(Turn("user", "one"),)), *ROWS[:1]]
    before = poison_dataset(chat, BadNets(target="good"), 0.5, seed=0)._replace(poisoned_ids=frozenset("c"))
    trigger = BenignTrigger(text=TRIGGER.text, placement=Placement.EVERY_USER)
    assert stamp_poisoned(before, trigger).rows[0].history == (Turn("user", "Quiet barn: one"),)
