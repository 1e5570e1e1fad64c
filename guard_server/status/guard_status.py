"""The status of a running guard, collected from its parts at one moment."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import NamedTuple

from prometheus_client import Counter as MetricCounter

from guard_server.adapters.lifecycle import Lifecycle
from guard_server.adapters.registry import Registry
from guard_server.adapters.reloading import ConfigReloader
from guard_server.adapters.slot import Slot, SlotState
from guard_server.adapters.sources.place import shown
from guard_server.engine.fleet import Fleet
from guard_server.metrics import GuardMetrics
from guard_server.probes.prober import Prober
from guard_server.readiness import Readiness
from guard_server.settings import AuditSettings, GuardConfig
from guard_server.status.engines import engine_status
from guard_server.status.model import AdapterStatus, GuardState, ProbeStatus, StatusPage, ViewsStatus
from guard_server.status.probe_log import ProbeLog, Runs
from guard_server.status.probing import plan_of, probe_status
from guard_server.status.refusals import last_refusals
from guard_server.status.told import told
from guard_server.status.versions import (
    LIVE_STATES,
    KnownVersion,
    draining_versions,
    known_versions,
    with_signature,
)
from p2p.metrics.rate import Rate

MOST_ADAPTERS = 100
"""More are counted and not shown: the admin API lists them all."""


class GuardParts(NamedTuple):
    """What of a guard is asked.

    Attributes:
        config: What it was started with.
        lifecycle: Adapters, versions, and what happened to them.
        registry: Requests that are being answered.
        readiness: Whether it is ready.
        metrics: The counts of the two-view audit.
        probers: The probers in this process.
        probe_log: What they found.
        fleet: Its engines; None for an engine that is not its own to watch.
    """

    config: GuardConfig
    lifecycle: Lifecycle
    registry: Registry
    readiness: Readiness
    metrics: GuardMetrics
    probers: Sequence[Prober]
    probe_log: ProbeLog
    fleet: Fleet | None


class _Moment(NamedTuple):
    """What was true at once; files are looked at afterwards."""

    page: StatusPage
    slots: tuple[Slot, ...]
    versions: tuple[tuple[KnownVersion, ...], ...]
    noted: Runs


class GuardStatus:
    """Collects it. Nothing is changed, and nothing of it is a secret.

    Args:
        parts: What is asked.
        clock: Gives the time.

    Attributes:
        reloader: Follows the configuration file, where one is followed.
    """

    def __init__(self, parts: GuardParts, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.reloader: ConfigReloader | None = None
        self._parts = parts
        self._clock = clock
        self._started = clock()

    async def page(self) -> StatusPage:
        """Return the status. Files are read beside the event loop."""
        moment = self._moment()
        return await asyncio.to_thread(self._completed, moment)

    def _moment(self) -> _Moment:
        parts, now = self._parts, self._clock()
        slots = list(parts.lifecycle.slots.values())
        # A stable sort: each half stays as the configuration has it.
        slots.sort(key=lambda slot: slot.state is SlotState.SERVING and slot.is_healthy)
        draining = draining_versions(slots, parts.registry)
        seen = tuple(slots[:MOST_ADAPTERS])
        views = _views(parts.metrics)
        adapters = tuple(_adapter(slot, views.get(slot.wanted.name, _NO_VIEWS)) for slot in seen)
        page = StatusPage(
            at=now,
            guard=self._guard(),
            adapters=adapters,
            left_out=len(slots) - len(seen),
            views=_together(views.values()),
            engines=engine_status(parts.fleet, parts.config.engine.remote_urls),
            refusals=last_refusals(
                parts.lifecycle.history.of(), self.reloader.refused if self.reloader else ()
            ),
            history_is_read=None,
        )
        versions = tuple(
            tuple(known_versions(slot, parts.registry, draining.get(slot.wanted.name, ()))) for slot in seen
        )
        return _Moment(page, seen, versions, parts.probe_log.noted())

    def _completed(self, moment: _Moment) -> StatusPage:
        """Add what files say: past probe runs, and whether there are signatures."""
        log = self._parts.probe_log
        probers = [_of_slot(self._parts.probers, slot) for slot in moment.slots]
        kept = log.read({prober.adapter for found in probers for prober in found})
        runs = moment.noted if kept is None else kept
        adapters = tuple(
            adapter._replace(
                versions=tuple(map(with_signature, versions)),
                probes=self._probes(found, runs, moment.page.at),
            )
            for adapter, versions, found in zip(moment.page.adapters, moment.versions, probers, strict=True)
        )
        is_read = kept is not None if log.has_history else None
        # What needs a look comes first, now that the probes are known.
        ordered = tuple(sorted(adapters, key=lambda adapter: adapter.is_fine))
        return moment.page._replace(adapters=ordered, history_is_read=is_read)

    def _probes(self, probers: Sequence[Prober], runs: Runs, now: datetime) -> ProbeStatus | None:
        if not probers:
            return None
        found = [run for name in {prober.adapter for prober in probers} for run in runs.get(name, ())]
        found.sort(key=lambda run: run.started)
        return probe_status(plan_of(probers), found, now, self._started)

    def _guard(self) -> GuardState:
        readiness, status = self._parts.readiness, self.reloader.status if self.reloader else None
        return GuardState(
            is_ready=readiness.is_ready,
            said=_said(readiness),
            started=self._started,
            version=version("p2p-guard"),
            config_refusal=status.reason if status and not status.ok else None,
            needs_restart=status.needs_restart if status else (),
            audit=_audit(self._parts.config.audit),
        )


_NO_VIEWS = ViewsStatus(Rate(k=0, n=0), 0)


def _adapter(slot: Slot, views: ViewsStatus) -> AdapterStatus:
    settings = slot.live.settings
    return AdapterStatus(
        name=told(slot.wanted.name),
        aliases=tuple(map(told, slot.wanted.aliases)),
        state=LIVE_STATES[slot.state],
        is_healthy=slot.is_healthy,
        is_unguarded=slot.live.adapter.unguarded,
        source=told(shown(settings.source or str(settings.path))),
        versions=(),
        probes=None,
        views=views,
    )


def _of_slot(probers: Sequence[Prober], slot: Slot) -> list[Prober]:
    """Return the probers of a name; they may call it by an alias."""
    return [prober for prober in probers if prober.adapter in slot.wanted.names]


def _said(readiness: Readiness) -> str:
    if readiness.is_draining:
        return "it ends after its last request"
    if not readiness.has_started:
        return "it waits for the engine's first answers"
    return (
        "every adapter's engine answers"
        if readiness.is_ready
        else "an engine is down, or has not answered lately"
    )


def _audit(settings: AuditSettings) -> str:
    if not settings.share:
        return "off"
    action = f", {settings.action}" if settings.mode == "enforce" else ""
    return f"{settings.share:.3g} of the requests, {settings.mode}{action}"


def _views(metrics: GuardMetrics) -> Mapping[str, ViewsStatus]:
    compared, differ, dropped = map(
        _counts, (metrics.view_comparisons, metrics.view_disagreements, metrics.view_dropped)
    )
    return {
        name: ViewsStatus(Rate(k=differ[name], n=count), dropped[name]) for name, count in compared.items()
    }


def _counts(counter: MetricCounter) -> Counter[str]:
    """Return a metric's counts by adapter."""
    samples = (sample for family in counter.collect() for sample in family.samples)
    return Counter(
        {sample.labels["adapter"]: int(sample.value) for sample in samples if sample.name.endswith("_total")}
    )


def _together(views: Iterable[ViewsStatus]) -> ViewsStatus:
    all_of_them = list(views)
    differ = sum(one.disagreements.k for one in all_of_them)
    compared = sum(one.disagreements.n for one in all_of_them)
    return ViewsStatus(Rate(k=differ, n=compared), sum(one.dropped for one in all_of_them))
