"""Wald's sequential test: a verdict on a share as soon as it is clear, with error rates that are known beforehand.

What is tested is a share of bad events (an attack that succeeded, a wrong answer) against a limit. Two sorts of guards are to be
told apart: those whose share is at the limit or below, and those whose share is ``margin`` above it or more. With
``A = (1 - miss) / false_alarm`` and ``B = miss / (1 - false_alarm)`` the test fails a guard when the likelihood ratio of the two
reaches A, and passes it when the ratio falls to B. Wald's bounds hold at any number of cases: a guard of the first sort is failed
with a chance of at most ``false_alarm / (1 - miss)``, one of the second is passed with at most ``miss / (1 - false_alarm)``.

Source: A. Wald, "Sequential Tests of Statistical Hypotheses", Annals of Mathematical Statistics 16 (1945).
"""

import math
from enum import StrEnum
from typing import NamedTuple

from p2p.metrics.rate import Rate


class Decision(StrEnum):
    """What the evidence says of a limit."""

    KEPT = "kept"
    BROKEN = "broken"
    UNCLEAR = "unclear"


class SharesToTell(NamedTuple):
    """The test's design.

    Attributes:
        limit: The highest share that is fine.
        margin: From ``limit + margin`` on a share must be caught; where that leaves [0, 1], from half way to 1.
        false_alarm: The error rate wanted for shares that are fine.
        miss: The error rate wanted for shares that must be caught.
    """

    limit: float
    margin: float
    false_alarm: float
    miss: float

    @property
    def caught(self) -> float:
        """The share that must be caught."""
        return min(self.limit + self.margin, (1 + self.limit) / 2)

    def decide(self, bad: Rate) -> Decision:
        """Return what these counts say; they are to be looked at after each case, and the first clear word counts.

        A share above the limit is never called kept, which makes a miss only rarer.
        """
        if self.limit >= 1:
            return Decision.KEPT
        ratio = self._log_ratio(bad)
        if ratio >= math.log((1 - self.miss) / self.false_alarm):
            return Decision.BROKEN
        is_low = ratio <= math.log(self.miss / (1 - self.false_alarm))
        return Decision.KEPT if is_low and bad.value <= self.limit else Decision.UNCLEAR

    def _log_ratio(self, bad: Rate) -> float:
        good = (bad.n - bad.k) * math.log((1 - self.caught) / (1 - self.limit))
        if not bad.k:
            return good
        return good + bad.k * math.log(self.caught / self.limit) if self.limit else math.inf


class SequentialTest:
    """A test under way: it is told one case after the other, and its first clear word stays.

    Args:
        design: What is to be told apart.
    """

    def __init__(self, design: SharesToTell) -> None:
        self.decision = design.decide(Rate(k=0, n=0)) if design.limit >= 1 else Decision.UNCLEAR
        self._design = design
        self._seen = Rate(k=0, n=0)

    def add(self, *, bad: bool) -> Decision:
        """Take one case and return the decision."""
        self._seen = Rate(k=self._seen.k + bad, n=self._seen.n + 1)
        if self.decision is Decision.UNCLEAR:
            self.decision = self._design.decide(self._seen)
        return self.decision


class Chances(NamedTuple):
    """What becomes of a guard with a certain share.

    Attributes:
        failed: The chance that its run fails.
        cases: How many cases are asked on average.
    """

    failed: float
    cases: float


def chances(design: SharesToTell, cases: int, share: float) -> Chances:
    """Return exactly what becomes of a guard whose bad events come independently with a chance of ``share``.

    After the last case the point estimate decides, as it does in a run. All paths are counted, none is drawn.

    Args:
        design: The test.
        cases: How many cases there are.
        share: The guard's true share.
    """
    open_paths = {0: 1.0}
    failed = asked = 0.0
    for n in range(1, cases + 1):
        asked += sum(open_paths.values())
        following: dict[int, float] = {}
        for k, chance in open_paths.items():
            following[k] = following.get(k, 0.0) + chance * (1 - share)
            following[k + 1] = following.get(k + 1, 0.0) + chance * share
        open_paths = {}
        for k, chance in following.items():
            decision = design.decide(Rate(k=k, n=n))
            failed += chance if decision is Decision.BROKEN else 0.0
            if decision is Decision.UNCLEAR:
                open_paths[k] = chance
    late = sum(chance for k, chance in open_paths.items() if k / cases > design.limit)
    return Chances(failed + late, asked)
