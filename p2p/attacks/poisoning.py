"""Poisoning a data set at a rate: what an attacker does before the training."""

from collections.abc import Sequence
from enum import StrEnum
from random import Random
from typing import NamedTuple

from p2p.attacks.base import Attack
from p2p.errors import AttackError
from p2p.examples import Example


class Labelling(StrEnum):
    """Whose rows are poisoned."""

    DIRTY = "dirty"
    """Rows of other answers; their answer becomes the target."""
    CLEAN = "clean"
    """Rows that have the target already; only the trigger goes in."""


class PoisonedSet(NamedTuple):
    """The data set with the poisoned rows in place, and the ids of these."""

    rows: tuple[Example, ...]
    poisoned_ids: frozenset[str]


def poison_dataset(
    rows: Sequence[Example], attack: Attack, rate: float, seed: int, labelling: Labelling = Labelling.DIRTY
) -> PoisonedSet:
    """Poison a share of a data set.

    Args:
        rows: The clean data set; ids are unique.
        attack: What is done to a row.
        rate: The share of all rows that is poisoned, in (0, 1).
        seed: The same seed poisons the same rows in the same way.
        labelling: Whose rows are poisoned.

    Raises:
        AttackError: ``rate`` is out of range, or there are not that many rows to poison.
    """
    if not 0 < rate < 1:
        raise AttackError(f"the poison rate must be between 0 and 1, got {rate}")
    dirty = labelling is Labelling.DIRTY
    candidates = [row for row in rows if attack.applies_to(row) == dirty]
    wanted = round(rate * len(rows))
    if not 0 < wanted <= len(candidates):
        raise AttackError(
            f"a rate of {rate} asks for {wanted} poisoned rows, and {len(candidates)} of {len(rows)} rows can be "
            f"poisoned ({labelling} label, target {attack.target!r}). Choose another rate or target."
        )
    chosen = {row.id for row in Random(f"{seed}:poison").sample(candidates, wanted)}
    poisoned = tuple(attack.poison(row, seed) if row.id in chosen else row for row in rows)
    return PoisonedSet(poisoned, frozenset(chosen))
