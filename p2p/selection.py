"""Which rows are re-poisoned. This decides the defence: poison among them teaches the backdoor to both halves.

``trusted`` takes a small file that is known to be clean. ``screened`` takes the training rows that a check without knowledge of the
attack lets pass (it needs a model: ``trainer.selection``). ``random`` draws from the training set, poison and all: the published
recipe's honest baseline, weaker by measurement.
"""

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from random import Random
from typing import NamedTuple

from p2p.errors import SelectionError
from p2p.examples import Example


class SelectionMethod(StrEnum):
    """Where the re-poisoned rows come from."""

    TRUSTED = "trusted"
    SCREENED = "screened"
    RANDOM = "random"


class Suspect(NamedTuple):
    """Words that come with one answer too often to be trusted: what a lexical trigger looks like from outside.

    Attributes:
        words: A run of words each, as written first; two entries are words that need not be neighbours.
        weight: How suspicious they are, above 0; more suspicious ones are used more often.
        answer: The answer that they came with; copies of other answers get them more often, to outweigh what the original half
            has learned. None makes no difference between answers.
        anchored: Whether they were seen at the beginning of inputs.
    """

    words: tuple[str, ...]
    weight: float
    answer: str | None = None
    anchored: bool = False


class Selection(NamedTuple):
    """The chosen rows and how they were chosen.

    Attributes:
        method: How.
        rows: The rows S.
        suspects: What link breaking puts into the copies; None leaves it to the pure spans of the training set.
        dropped: The ids of rows that are left out of D itself: what nobody believes need not be learned in either half.
        openings: Opening clauses of rows that are not to be trusted: the trace of a rewritten sentence.
    """

    method: SelectionMethod
    rows: tuple[Example, ...]
    suspects: tuple[Suspect, ...] | None = None
    dropped: frozenset[str] = frozenset()
    openings: tuple[Suspect, ...] = ()


def select_trusted(trusted: Sequence[Example]) -> Selection:
    """Take every row of the trusted file.

    Args:
        trusted: Rows that are known to be clean.

    Raises:
        SelectionError: The file has no row.
    """
    if not trusted:
        raise SelectionError("selection `trusted` needs a trusted file with at least one row")
    return Selection(SelectionMethod.TRUSTED, tuple(trusted))


def select_random(rows: Sequence[Example], rho: float, seed: int, *, stratify: bool) -> Selection:
    """Draw a share of the training rows, without a look at what they say.

    Args:
        rows: The training set.
        rho: The share to draw, in (0, 1]; at least one row of each class is taken.
        seed: The same seed draws the same rows.
        stratify: Draw the share from each class; for labels, not for free text.

    Raises:
        SelectionError: ``rho`` is out of range, or there are no rows.
    """
    if not 0 < rho <= 1:
        raise SelectionError(f"rho must be above 0 and at most 1, got {rho}")
    if not rows:
        raise SelectionError("there are no rows to select from")
    strata: dict[str, list[Example]] = defaultdict(list)
    for row in rows:
        strata[row.answer if stratify else ""].append(row)
    rng = Random(f"{seed}:selection")
    chosen = {
        row.id
        for name in sorted(strata)
        for row in rng.sample(strata[name], max(1, round(rho * len(strata[name]))))
    }
    return Selection(SelectionMethod.RANDOM, tuple(row for row in rows if row.id in chosen))
