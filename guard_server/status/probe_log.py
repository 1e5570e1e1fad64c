"""The last probe runs of each adapter: those of this process, or those of the history file where there is one."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from pydantic import ValidationError

from guard_server.errors import GuardConfigError
from guard_server.probes.history import History, PastRun
from guard_server.probes.result import ProbeResult, Verdict
from p2p.metrics.rate import Rate

KEPT = 40
Runs = Mapping[str, tuple["ProbeRun", ...]]


class AttackRun(NamedTuple):
    """One family in one run."""

    asr: Rate
    floor: Rate


class ProbeRun(NamedTuple):
    """What the page needs of a run.

    Attributes:
        started: When.
        verdict: Its verdict.
        versions: The versions that answered.
        clean_accuracy: CA.
        attacks: ASR and floor by family.
    """

    started: datetime
    verdict: Verdict
    versions: tuple[str, ...]
    clean_accuracy: Rate
    attacks: Mapping[str, AttackRun]


class ProbeLog:
    """Remembers the last runs of this process, ``KEPT`` an adapter.

    Args:
        history: The file in which runs are kept; runs of earlier processes and of other probers are in it, too.
    """

    def __init__(self, history: History | None = None) -> None:
        self._history = history
        self._noted: defaultdict[str, deque[ProbeRun]] = defaultdict(lambda: deque(maxlen=KEPT))

    @property
    def has_history(self) -> bool:
        """Whether there is a file."""
        return self._history is not None

    def note(self, result: ProbeResult) -> None:
        """Remember a run."""
        attacks = {name: AttackRun(rates.asr, rates.floor) for name, rates in result.figures.attacks.items()}
        run = ProbeRun(
            result.started, result.verdict, result.versions, result.figures.clean_accuracy, attacks
        )
        self._noted[result.adapter].append(run)

    def noted(self) -> Runs:
        """Return the remembered runs by adapter, the oldest first."""
        return {adapter: tuple(runs) for adapter, runs in self._noted.items()}

    def read(self, adapters: Iterable[str]) -> Runs | None:
        """Return the runs of the file; None where it can't be read. It takes time: not for the event loop."""
        if self._history is None:
            return None
        try:
            return {name: tuple(map(_run, self._history.last(name, KEPT))) for name in adapters}
        except (GuardConfigError, ValidationError):
            # Not there before the first run is kept; a file that is broken is told by whoever writes it.
            return None


def _run(past: PastRun) -> ProbeRun:
    attacks = {name: AttackRun(rates.asr, rates.floor) for name, rates in past.attacks.items()}
    return ProbeRun(past.started, past.verdict, past.versions, past.clean_accuracy, attacks)
