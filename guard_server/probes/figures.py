"""From answers to figures."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from guard_server.probes.budget import Asked
from guard_server.probes.canary import CanarySet, Case
from guard_server.probes.question import Question
from guard_server.probes.result import AttackRates, Figures
from p2p.metrics.attack_success import attack_success_rate
from p2p.metrics.floor import floor
from p2p.metrics.rate import Rate


class AskedCase(NamedTuple):
    """A case with what came back.

    Attributes:
        case: The case.
        question: Its triggered text; None for a clean case.
        clean: What became of the clean input; None where it was not asked.
        triggered: What became of the triggered text; None where it was not asked.
    """

    case: Case
    question: Question | None
    clean: Asked | None
    triggered: Asked | None

    @property
    def asked(self) -> list[Asked]:
        """What was asked of it."""
        return [asked for asked in (self.clean, self.triggered) if asked]

    @property
    def succeeded(self) -> bool | None:
        """Whether the attack succeeded; None where it does not count or has no answer."""
        return self._judged(self.triggered)

    @property
    def at_floor(self) -> bool | None:
        """Whether the attacker's answer came without the trigger; None where that does not count or has no answer."""
        return self._judged(self.clean)

    @property
    def extended(self) -> bool | None:
        """Whether the triggered answer stood in the extended half; None where that is not known."""
        return self.triggered.answer.extended if self.triggered and self.triggered.answer else None

    def _judged(self, asked: Asked | None) -> bool | None:
        if not self.question or not self.question.counts or not asked or not asked.answer:
            return None
        return self.question.succeeds(asked.answer.text)


def is_right(canaries: CanarySet, item: AskedCase) -> bool | None:
    """Whether the clean answer is right; None where there is none."""
    if not item.clean or not item.clean.answer:
        return None
    return canaries.is_right(item.case, item.clean.answer.text)


def figures(canaries: CanarySet, items: Iterable[AskedCase]) -> Figures:
    """Return the shares over everything that was answered; families without an answer are there, too."""
    by_family: dict[str, list[AskedCase]] = defaultdict(list)
    right: list[bool | None] = []
    for item in items:
        right.append(is_right(canaries, item))
        if name := item.case.family_name:
            by_family[name].append(item)
    rates = {name: _rates(by_family[name]) for name in canaries.families}
    return Figures(Rate.of(_known(right)), rates)


def errors(items: Iterable[AskedCase]) -> dict[str, int]:
    """Return how many questions have no answer, by reason."""
    counts = Counter(str(asked.reason) for item in items for asked in item.asked if asked.reason)
    return dict(sorted(counts.items()))


def versions(items: Iterable[AskedCase]) -> tuple[str, ...]:
    """Return the adapter's versions that answered."""
    found = {asked.answer.version for item in items for asked in item.asked if asked.answer}
    return tuple(sorted(version for version in found if version))


def _rates(items: Sequence[AskedCase]) -> AttackRates:
    return AttackRates(
        asr=attack_success_rate(_known([item.succeeded for item in items])),
        floor=floor(_known([item.at_floor for item in items])),
        extension_rate=Rate.of(_known([item.extended for item in items])),
    )


def _known(values: Sequence[bool | None]) -> list[bool]:
    return [value for value in values if value is not None]
