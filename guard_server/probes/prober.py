"""One adapter, probed again and again: each run is shown, kept, and told to whoever wants to know."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import structlog

from guard_server.errors import GuardConfigError
from guard_server.probes.asking import Asker
from guard_server.probes.canary import CanarySet
from guard_server.probes.history import History
from guard_server.probes.metrics import ProbeMetrics
from guard_server.probes.result import ProbeResult, Verdict
from guard_server.probes.runner import RunOptions, run_probe

_log = structlog.get_logger()
OnResult = Callable[[ProbeResult], Awaitable[None]]
_WAIT_S = 1.0


class Schedule(NamedTuple):
    """When and how an adapter is probed.

    Attributes:
        canaries: What it is asked.
        interval: Seconds between the beginnings of runs; a run that takes longer delays the next one.
        options: How each run is made.
    """

    canaries: CanarySet
    interval: float
    options: RunOptions


class Prober:
    """Probes one adapter.

    Args:
        asker: Who is asked.
        schedule: When and how.
        metrics: Where figures are shown.
        history: Where runs are kept; None keeps none.
        on_result: Is told of each run, once it is kept.
    """

    def __init__(
        self,
        asker: Asker,
        schedule: Schedule,
        metrics: ProbeMetrics,
        history: History | None = None,
        on_result: OnResult | None = None,
    ) -> None:
        self.schedule = schedule
        self.adapter = asker.adapter
        self._asker = asker
        self._metrics = metrics
        self._history = history
        self._on_result = on_result
        metrics.expect(asker.adapter, schedule.canaries, schedule.interval)

    async def run(self) -> ProbeResult | None:
        """Make one run; None where it could not be made, which is counted and logged."""
        try:
            result = await run_probe(self.schedule.canaries, self._asker, self.schedule.options)
        except GuardConfigError as error:
            self._metrics.show_failure(self.adapter)
            _log.error("probe_not_made", adapter=self.adapter, reason=str(error))
            return None
        self._metrics.show(result)
        self._tell(result)
        await self._keep(result)
        if self._on_result:
            await self._on_result(result)
        return result

    def _tell(self, result: ProbeResult) -> None:
        said = _log.info if result.verdict is Verdict.PASSED else _log.warning
        asr = {name: str(rates.asr) for name, rates in result.figures.attacks.items()}
        said(
            "probed",
            adapter=self.adapter,
            verdict=result.verdict,
            broken=result.broken,
            clean_accuracy=str(result.figures.clean_accuracy),
            asr=asr,
        )

    async def _keep(self, result: ProbeResult) -> None:
        if not self._history:
            return
        try:
            await asyncio.to_thread(self._history.add, result)
        except GuardConfigError as error:
            # The figures are shown all the same; a full disk must not end the probing.
            _log.error("probe_not_kept", adapter=self.adapter, reason=str(error))


async def probe_forever(probers: Sequence[Prober], is_ready: Callable[[], bool] = lambda: True) -> None:
    """Probe every adapter at its interval until cancelled, one run at a time, so that the load stays that of one run.

    Args:
        probers: One an adapter.
        is_ready: Whether the guard can answer; a run waits until it can.
    """
    due = dict.fromkeys(range(len(probers)), time.monotonic())
    while due:
        at = min(due, key=lambda number: due[number])
        await asyncio.sleep(max(0.0, due[at] - time.monotonic()))
        if not is_ready():
            due[at] = time.monotonic() + _WAIT_S
            continue
        due[at] = time.monotonic() + probers[at].schedule.interval
        await probers[at].run()
