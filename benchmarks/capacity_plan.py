"""What follows from measured figures by arithmetic: guards, engines and memory for a rate of requests, and what probing costs."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from guard_server.probes.sequential import SharesToTell, chances

HEADROOM = 0.7
"""The share of its capacity that a process is planned for: queues grow without bound near 1."""


class Guard(NamedTuple):
    """What one guard process was measured at.

    Attributes:
        rate: Requests a second of one core.
        base_bytes: Memory without a stream.
        stream_bytes: Memory of one open stream.
    """

    rate: float
    base_bytes: float
    stream_bytes: float


class Need(NamedTuple):
    """What a rate of requests needs.

    Attributes:
        rate: Requests a second.
        guards: Guard processes, one core each.
        guard_in_flight: Requests that are open at once in each.
        guard_bytes: Memory of each.
        engines: Engine replicas, for each engine rate that was asked for.
    """

    rate: float
    guards: int
    guard_in_flight: int
    guard_bytes: float
    engines: tuple[int, ...]


def needed(rate: float, guard: Guard, engine_rates: Sequence[float], answer_s: float) -> Need:
    """Return what a rate needs.

    The requests that are open at once are rate times duration (Little's law).

    Args:
        rate: Requests a second.
        guard: One guard process.
        engine_rates: Requests a second that one engine replica gives, measured with the users' own prompts.
        answer_s: Seconds that an answer takes.
    """
    guards = math.ceil(rate / (HEADROOM * guard.rate))
    in_flight = math.ceil(rate * answer_s / guards)
    memory = guard.base_bytes + in_flight * guard.stream_bytes
    engines = tuple(math.ceil(rate / (HEADROOM * engine)) for engine in engine_rates)
    return Need(rate, guards, in_flight, memory, engines)


class ProbeCost(NamedTuple):
    """What probing one adapter costs.

    Attributes:
        families: Attacks in its canary file.
        cases: Cases of each that a run asks on average before its verdict is clear.
        run_requests: Requests of a run.
        every_case_requests: The same without stopping early.
    """

    families: int
    cases: float
    run_requests: float
    every_case_requests: int

    def hourly(self, interval_s: float) -> float:
        """Return the requests an hour when a run begins every so many seconds."""
        return self.run_requests * 3600 / interval_s


def probe_cost(families: int, limit: float, share: float, cases: int) -> ProbeCost:
    """Return what probing a sound adapter costs; a case is asked once with its trigger and once without.

    The rates of error are the canary file's defaults, the false alarms shared by all families.

    Args:
        families: Attacks in the canary file.
        limit: The highest attack success rate that is fine.
        share: The adapter's true one.
        cases: Cases of each family.
    """
    design = SharesToTell(limit, margin=0.1, false_alarm=0.05 / families, miss=0.05)
    asked = chances(design, cases, share).cases
    return ProbeCost(families, asked, 2 * families * asked, 2 * families * cases)
