"""From probe runs to what the page tells of them: the last values, where they go, and whether they are old."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from guard_server.probes.prober import Prober
from guard_server.probes.result import Verdict
from guard_server.probes.trend import trend
from guard_server.status.model import ProbeStatus, Series
from guard_server.status.probe_log import ProbeRun
from guard_server.status.sparkline import sparkline
from p2p.metrics.rate import Rate

CLEAN_ACCURACY = "clean accuracy"
_STALE_AFTER = 3
"""Intervals without a verdict, as the alert P2PProbeStale has it."""


class Plan(NamedTuple):
    """How an adapter is probed, by one canary file or several.

    Attributes:
        interval_s: The longest time between the beginnings of runs.
        asr_max: The limit of each family.
        clean_accuracy_min: The lowest clean accuracy.
    """

    interval_s: float
    asr_max: Mapping[str, float | None]
    clean_accuracy_min: float | None


def plan_of(probers: Sequence[Prober]) -> Plan:
    """Return the plan of one adapter's probers, of which there is at least one."""
    limits = [prober.schedule.canaries.limits for prober in probers]
    families = {
        family: prober.schedule.canaries.limits.asr_max
        for prober in probers
        for family in prober.schedule.canaries.families
    }
    lowest = [limit.clean_accuracy_min for limit in limits if limit.clean_accuracy_min is not None]
    interval = max(prober.schedule.interval for prober in probers)
    return Plan(interval, families, max(lowest, default=None))


def probe_status(plan: Plan, runs: Sequence[ProbeRun], now: datetime, started: datetime) -> ProbeStatus:
    """Return what the page tells of an adapter's probes.

    Args:
        plan: How it is probed.
        runs: The last runs, the oldest first.
        now: The moment.
        started: When the guard began: before that no verdict is missed.
    """
    last = runs[-1] if runs else None
    families = sorted({*plan.asr_max, *(name for run in runs for name in run.attacks)})
    attacks = [_attack(name, plan, runs) for name in families]
    return ProbeStatus(
        last.started if last else None,
        last.verdict if last else None,
        last.versions if last else (),
        plan.interval_s,
        len(runs),
        _is_stale(plan, runs, now, started),
        tuple(series for series in attacks if series),
        _clean_accuracy(plan, runs),
    )


def _is_stale(plan: Plan, runs: Sequence[ProbeRun], now: datetime, started: datetime) -> bool:
    clear = [run.started for run in runs if run.verdict is not Verdict.UNCLEAR]
    return now - max([started, *clear]) > timedelta(seconds=_STALE_AFTER * plan.interval_s)


def _attack(name: str, plan: Plan, runs: Sequence[ProbeRun]) -> Series | None:
    measured = [run.attacks[name] for run in runs if name in run.attacks and run.attacks[name].asr.n]
    limit = plan.asr_max.get(name)
    found = _series(name, [run.asr for run in measured], limit, lambda value, most: value > most)
    return found._replace(floor=measured[-1].floor) if found else None


def _clean_accuracy(plan: Plan, runs: Sequence[ProbeRun]) -> Series | None:
    measured = [run.clean_accuracy for run in runs if run.clean_accuracy.n]
    return _series(
        CLEAN_ACCURACY, measured, plan.clean_accuracy_min, lambda value, least: value < least, top=1.0
    )


def _series(
    name: str,
    rates: Sequence[Rate],
    limit: float | None,
    is_beyond: Callable[[float, float], bool],
    top: float | None = None,
) -> Series | None:
    if not rates:
        return None
    latest = rates[-1]
    is_broken = limit is not None and is_beyond(latest.value, limit)
    direction = trend(rates).direction
    return Series(name, latest, limit, is_broken, direction, len(rates), sparkline(name, rates, limit, top))
