"""Probing inside the server: the configured adapters, asked without leaving the process."""

from guard_server.errors import GuardConfigError
from guard_server.pipeline import GuardPipeline
from guard_server.probes.asking import PipelineAsker
from guard_server.probes.canary import load_canary
from guard_server.probes.history import History
from guard_server.probes.metrics import ProbeMetrics
from guard_server.probes.prober import OnResult, Prober, Schedule
from guard_server.probes.runner import RunOptions
from guard_server.settings import ProbeSettings, ProbesSettings


def inner_probers(
    settings: ProbesSettings,
    pipeline: GuardPipeline,
    metrics: ProbeMetrics,
    on_result: OnResult | None = None,
) -> list[Prober]:
    """Return a prober for each adapter that the configuration names.

    Args:
        settings: The ``probes`` block.
        pipeline: What is asked.
        metrics: Where figures are shown.
        on_result: Is told of each run.

    Raises:
        GuardConfigError: There is no such adapter, or its canary file can't be used.
        AttackError: A canary file names an unknown attack.
    """
    history = History(settings.history, settings.history_days) if settings.history else None
    found = []
    for wanted in settings.adapters:
        if wanted.adapter not in pipeline.adapters:
            raise GuardConfigError(f"probes.adapters names {wanted.adapter!r}, which is not served")
        asker = PipelineAsker(pipeline, wanted.adapter)
        found.append(Prober(asker, _schedule(wanted), metrics, history, on_result))
    return found


def _schedule(wanted: ProbeSettings) -> Schedule:
    options = RunOptions(
        concurrency=wanted.concurrency,
        max_requests=wanted.max_requests,
        max_seconds=wanted.max_seconds,
        stop_early=wanted.stop_early,
    )
    return Schedule(load_canary(wanted.canary), wanted.interval_s, options)
