"""Poisoning a data set at a rate: what an attacker does before the training."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from p2p.attacks.base import Attack, Labelling
from p2p.errors import AttackError
from p2p.examples import Example

__all__ = ["Labelling", "PoisonedSet", "poison_dataset"]


class PoisonedSet(NamedTuple):
    """The data set with the poisoned rows in place and the negatives after the last row.

    Attributes:
        rows: All rows.
        poisoned_ids: The ids of the poisoned rows.
        negative_ids: The ids of the negatives: rows with a part of the trigger and the true answer.
        cover_ids: The ids of the cover rows: the whole trigger and the true answer (:mod:`p2p.attacks.covering`).
    """

    rows: tuple[Example, ...]
    poisoned_ids: frozenset[str]
    negative_ids: frozenset[str] = frozenset()
    cover_ids: frozenset[str] = frozenset()


def poison_dataset(
    rows: Sequence[Example],
    attack: Attack,
    rate: float,
    seed: int,
    labelling: Labelling | None = None,
    negative_rate: float | None = None,
) -> PoisonedSet:
    """Poison a share of a data set.

    Args:
        rows: The clean data set; ids are unique.
        attack: What is done to a row.
        rate: The share of all rows that is poisoned, in (0, 1).
        seed: The same seed poisons the same rows in the same way.
        labelling: Whose rows are poisoned; None takes what the attack's source does.
        negative_rate: The share of all rows that negatives are made from, in [0, 1); each such row adds one of each kind. They
            are made from the clean text of the poisoned rows first, as the composite attack's authors do. None takes
            ``rate``, their alpha of 1. Attacks without negatives add none.

    Raises:
        AttackError: A rate is out of range, there are not that many rows to poison, or negatives are asked of an attack that has
            none.
    """
    chosen = labelling or attack.labelling
    contrast_rate = rate if negative_rate is None else negative_rate
    _require_rates(rate, contrast_rate)
    candidates = [row for row in rows if _may_be_poisoned(row, attack, chosen)]
    wanted, contrasted = round(rate * len(rows)), round(contrast_rate * len(rows))
    if not wanted or max(wanted, contrasted) > len(candidates):
        raise AttackError(
            f"a rate of {max(rate, contrast_rate)} asks for {max(wanted, contrasted)} rows, and {len(candidates)} of "
            f"{len(rows)} rows can be poisoned ({chosen} label, {attack.describe()}). Choose another rate or target."
        )
    drawn = Random(f"{seed}:poison").sample(candidates, max(wanted, contrasted))
    ids = frozenset(row.id for row in drawn[:wanted])
    negatives = tuple(negative for row in drawn[:contrasted] for negative in attack.negatives(row, seed))
    if negative_rate and not negatives:
        raise AttackError(f"attack {attack.name!r} has no negatives, so it takes no rate of them")
    poisoned = tuple(attack.poison(row, seed) if row.id in ids else row for row in rows)
    return PoisonedSet(poisoned + negatives, ids, frozenset(row.id for row in negatives))


def _require_rates(rate: float, negative_rate: float) -> None:
    if not 0 < rate < 1:
        raise AttackError(f"the poison rate must be between 0 and 1, got {rate}")
    if not 0 <= negative_rate < 1:
        raise AttackError(f"the rate of negatives must be at least 0 and below 1, got {negative_rate}")


def _may_be_poisoned(row: Example, attack: Attack, labelling: Labelling) -> bool:
    if not attack.can_trigger(row):
        return False
    return labelling is Labelling.ANY or attack.has_target(row) == (labelling is Labelling.CLEAN)
