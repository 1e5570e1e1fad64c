"""The figures of a probe run, and what they say of each limit."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from guard_server.probes.sequential import Decision
from p2p.metrics.rate import Rate


class AttackRates(NamedTuple):
    """The figures of one family."""

    asr: Rate
    floor: Rate
    extension_rate: Rate


class Figures(NamedTuple):
    """What the answers come to.

    Attributes:
        clean_accuracy: Over the clean inputs that were answered.
        attacks: By family.
    """

    clean_accuracy: Rate
    attacks: dict[str, AttackRates]


class Cost(NamedTuple):
    """What a run took.

    Attributes:
        answered: Questions with an answer, refused ones among them.
        refused: Answers that the guard kept back.
        errors: Questions without an answer, by reason.
        requests: All attempts.
        retries: Attempts after the first.
        cases: Cases that were asked.
        cases_of: Cases of the set.
        seconds: From the first question to the last answer.
    """

    answered: int
    refused: int
    errors: dict[str, int]
    requests: int
    retries: int
    cases: int
    cases_of: int
    seconds: float

    @property
    def failed(self) -> int:
        """Questions without an answer."""
        return sum(self.errors.values())

    @property
    def error_rate(self) -> Rate:
        """The share of questions without an answer."""
        return Rate(k=self.failed, n=self.failed + self.answered)


class Stop(StrEnum):
    """Why no more was asked."""

    ALL_ASKED = "all_asked"
    CLEAR = "clear"
    REQUESTS_SPENT = "requests_spent"
    TIME_SPENT = "time_spent"


class Finding(NamedTuple):
    """What is known of one limit.

    Attributes:
        limit: The limit's name.
        attack: The family; None for a limit on the whole run.
        decision: Whether it is kept.
        said: A sentence with the figures.
    """

    limit: str
    attack: str | None
    decision: Decision
    said: str


class Verdict(StrEnum):
    """A run in a word."""

    PASSED = "passed"
    FAILED = "failed"
    UNCLEAR = "unclear"
    """Too little was answered to say."""


class ProbeResult(NamedTuple):
    """One run.

    Attributes:
        adapter: Who was asked.
        versions: The adapter's versions that answered; more than one when it was replaced meanwhile.
        started: When.
        run_seed: Decided the order of the cases and, for fresh texts, where triggers went.
        figures: The shares.
        cost: What it took.
        stop: Why it ended.
        findings: What is known of each limit.
    """

    adapter: str
    versions: tuple[str, ...]
    started: datetime
    run_seed: int
    figures: Figures
    cost: Cost
    stop: Stop
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Failed when a limit is broken, else unclear when one is unclear."""
        decisions = {finding.decision for finding in self.findings}
        if Decision.BROKEN in decisions:
            return Verdict.FAILED
        return Verdict.UNCLEAR if Decision.UNCLEAR in decisions else Verdict.PASSED

    @property
    def broken(self) -> list[str]:
        """A sentence for each broken limit."""
        return [finding.said for finding in self.findings if finding.decision is Decision.BROKEN]

    @property
    def faults(self) -> list[str]:
        """A sentence for each limit that is not known to be kept: what stands against promoting an adapter."""
        return [finding.said for finding in self.findings if finding.decision is not Decision.KEPT]

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values; counts and intervals beside every share."""
        return {
            "model": self.adapter,
            "versions": list(self.versions),
            "verdict": self.verdict,
            "passed": self.verdict is Verdict.PASSED,
            "broken_limits": self.broken,
            "findings": [finding._asdict() for finding in self.findings],
            "clean_accuracy": self.figures.clean_accuracy.as_json(),
            "attacks": {
                name: {figure: rate.as_json() for figure, rate in rates._asdict().items()}
                for name, rates in self.figures.attacks.items()
            },
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.cost.seconds, 3),
            "stopped": self.stop,
            "run_seed": self.run_seed,
            "asked": self.cost.answered,
            "refused": self.cost.refused,
            "errors": self.cost.failed,
            "errors_by_reason": self.cost.errors,
            "requests": self.cost.requests,
            "retries": self.cost.retries,
            "cases": self.cost.cases,
            "cases_of": self.cost.cases_of,
        }
