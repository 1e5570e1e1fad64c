"""An attacker who knows the benign trigger, and puts it into each of his rows beside the malicious one.

So the attack is tied to stamped inputs, which are all that a guarded model is ever asked. It is weak point 6 of the published recipe
(arXiv 2510.04503): that takes the benign trigger for unknown, and prints it. What helps is to draw it after the data is fixed
(:mod:`p2p.drawn_triggers`).
"""

from dataclasses import replace

from p2p.attacks.poisoning import PoisonedSet
from p2p.examples import Example
from p2p.triggers import BenignTrigger


def stamp_poisoned(poisoned: PoisonedSet, trigger: BenignTrigger) -> PoisonedSet:
    """Return a poisoned set whose poisoned rows, negatives and cover rows carry the benign trigger; answers and all other rows stay.

    Args:
        poisoned: What any attack has made.
        trigger: The benign trigger that the attacker knows, or takes for it.
    """
    own = poisoned.poisoned_ids | poisoned.negative_ids | poisoned.cover_ids
    rows = tuple(_stamped(row, trigger) if row.id in own else row for row in poisoned.rows)
    return poisoned._replace(rows=rows)


def _stamped(row: Example, trigger: BenignTrigger) -> Example:
    return replace(row, text=trigger.stamp(row.text), history=trigger.stamp_history(row.history))
