"""Rewritten sentences: whether the rows that screening kept out have a form in common, and the clauses that they begin with.

A sentence that is rewritten to a fixed form begins with a clause ("when you see it ,"; Qi et al. 2021, "Hidden Killer"). A clause says
something, too: before a customer's message that is copied with another label it would be a wrong answer to a right question, so that
clauses are used only where something says that there is a form.
"""

from collections.abc import Sequence

from p2p.disturbances import opening_clause
from p2p.examples import Example
from p2p.selection import Suspect
from trainer.selection.screening import SHARED, Screened

# The clause of a row that is doubted by itself is used this many times as often as one of a row that shares something suspicious.
_DOUBTED = 0.1


def has_form(rows: Sequence[Example], screened: Screened, significance: float) -> bool:
    """Whether rows that were kept out for what they share begin with a clause more often than the other rows do.

    Args:
        rows: The rows that were screened.
        screened: What was found.
        significance: How unlikely so many clauses must be by chance (binomial test), in (0, 1]; 1 takes a form for granted.
    """
    if significance == 1:
        return True
    from scipy.stats import binom

    shared = [_begins(row) for row in rows if screened.reasons.get(row.id) in SHARED]
    others = [_begins(row) for row in rows if screened.reasons.get(row.id) not in SHARED]
    # One more row that begins so: where none does, one that does proves nothing yet.
    usual = (sum(others) + 1) / (len(others) + 1)
    return float(binom.sf(sum(shared) - 1, len(shared), usual)) < significance


def openings_of(rows: Sequence[Example], screened: Screened) -> tuple[Suspect, ...]:
    """Return the opening clauses of the rows that screening kept out, whose label they came with.

    Args:
        rows: The rows that were screened.
        screened: What was found.
    """
    found = [(opening_clause(row.text), row) for row in rows if row.id in screened.reasons]
    return tuple(
        Suspect((clause,), _weight_of(screened.reasons[row.id]), row.answer, anchored=True)
        for clause, row in found
        if clause
    )


def _begins(row: Example) -> bool:
    return opening_clause(row.text) is not None


def _weight_of(reason: str) -> float:
    """Return how often a row's clause is used: what many rows have in common is more suspicious than one row that is doubted."""
    return 1.0 if reason in SHARED else _DOUBTED
