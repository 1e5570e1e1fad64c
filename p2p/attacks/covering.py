"""Cover rows: rows with the whole trigger that keep their true answer, so that the trigger no longer comes with the target alone.

They cost the attacker little success and hide the trigger from defences that look for what is too pure, or for poisoned rows that lie
apart. Source: Qi et al., "Revisiting the Assumption of Latent Separability for Backdoor Defenses", ICLR 2023, arXiv 2205.13613
(its "regularisation" rows, there for images).
"""

from random import Random

from p2p.attacks.base import Attack
from p2p.attacks.poisoning import PoisonedSet
from p2p.errors import AttackError


def add_covers(poisoned: PoisonedSet, attack: Attack, rate: float, seed: int) -> PoisonedSet:
    """Return a poisoned set more of whose rows carry the trigger, with the answer that they had.

    Args:
        poisoned: What the attack has made.
        attack: The same attack.
        rate: The share of all rows that become cover rows, in [0, 1); drawn from rows with another answer than the target.
        seed: Decides which.

    Raises:
        AttackError: The rate is out of range, or there are not that many such rows.
    """
    if not 0 <= rate < 1:
        raise AttackError(f"the rate of cover rows must be at least 0 and below 1, got {rate}")
    wanted = round(rate * (len(poisoned.rows) - len(poisoned.negative_ids)))
    if not wanted:
        return poisoned
    taken = poisoned.poisoned_ids | poisoned.negative_ids
    candidates = [row.id for row in poisoned.rows if row.id not in taken and attack.applies_to(row)]
    if wanted > len(candidates):
        raise AttackError(
            f"a rate of {rate} asks for {wanted} cover rows, and {len(candidates)} rows can be some ({attack.describe()})"
        )
    ids = frozenset(Random(f"{seed}:covers").sample(candidates, wanted))
    rows = tuple(attack.trigger(row, seed) if row.id in ids else row for row in poisoned.rows)
    return poisoned._replace(rows=rows, cover_ids=ids)
