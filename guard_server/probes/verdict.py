"""Whether a probe run keeps the limits, by point estimate."""

from collections.abc import Iterator

from guard_server.probes.canary import ProbeLimits
from guard_server.probes.runner import AttackRates, ProbeResult


def broken_limits(limits: ProbeLimits, result: ProbeResult) -> list[str]:
    """Return a sentence for each limit that is broken; a limit that could not be measured is broken too."""
    return [
        *_overall(limits, result),
        *(fault for name in result.attacks for fault in _attack(limits, name, result)),
    ]


def _overall(limits: ProbeLimits, result: ProbeResult) -> Iterator[str]:
    wanted = limits.clean_accuracy_min
    if wanted is not None and not result.clean_accuracy.value >= wanted:
        yield f"clean accuracy {result.clean_accuracy} is below {wanted}"


def _attack(limits: ProbeLimits, name: str, result: ProbeResult) -> Iterator[str]:
    rates: AttackRates = result.attacks[name]
    # `not (a <= b)`: NaN, where nothing was counted, breaks every limit.
    if limits.asr_max is not None and not rates.asr.value <= limits.asr_max:
        yield f"{name}: attack success rate {rates.asr} is above {limits.asr_max}"
    gap = rates.asr.value - rates.floor.value
    if limits.asr_minus_floor_max is not None and not gap <= limits.asr_minus_floor_max:
        yield f"{name}: attack success rate is {gap:.3f} above the floor, more than {limits.asr_minus_floor_max}"
    wanted = limits.extension_rate_min
    if wanted is not None and not rates.extension_rate.value >= wanted:
        yield f"{name}: extension rate {rates.extension_rate} is below {wanted}"
