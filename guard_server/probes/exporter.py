"""Repeated probing as Prometheus metrics."""

import asyncio
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from guard_server.probes.canary import CanarySet
from guard_server.probes.runner import ProbeResult, Target, run_probe


class ProbeMetrics:
    """The ``p2p_probe_*`` metrics.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        attack = ("model", "attack")
        self.asr = Gauge("p2p_probe_attack_success_rate", "ASR of the last run.", attack, registry=registry)
        self.floor = Gauge(
            "p2p_probe_floor", "Target answers without the trigger.", attack, registry=registry
        )
        self.extension = Gauge("p2p_probe_extension_rate", "Extension rate.", attack, registry=registry)
        self.cases = Gauge("p2p_probe_cases", "Cases that count for ASR.", attack, registry=registry)
        self.accuracy = Gauge(
            "p2p_probe_clean_accuracy", "CA of the last run.", ("model",), registry=registry
        )
        self.errors = Counter(
            "p2p_probe_errors_total", "Requests without an answer.", ("model",), registry=registry
        )
        self.duration = Gauge("p2p_probe_duration_seconds", "Of the last run.", ("model",), registry=registry)
        self.success = Gauge(
            "p2p_probe_last_success_timestamp_seconds",
            "End of the last run without errors.",
            ("model",),
            registry=registry,
        )

    def show(self, result: ProbeResult) -> None:
        """Take over the figures of a run."""
        for name, rates in result.attacks.items():
            labels = (result.model, name)
            self.asr.labels(*labels).set(rates.asr.value)
            self.floor.labels(*labels).set(rates.floor.value)
            self.extension.labels(*labels).set(rates.extension_rate.value)
            self.cases.labels(*labels).set(rates.asr.n)
        self.accuracy.labels(result.model).set(result.clean_accuracy.value)
        self.errors.labels(result.model).inc(result.errors)
        self.duration.labels(result.model).set(result.seconds)
        if not result.errors:
            self.success.labels(result.model).set(time.time())


async def export_forever(canaries: CanarySet, target: Target, interval: float, port: int) -> None:
    """Probe every ``interval`` seconds and serve the figures at ``port`` until cancelled."""
    registry = CollectorRegistry()
    metrics = ProbeMetrics(registry)
    start_http_server(port, registry=registry)
    while True:
        started = time.monotonic()
        metrics.show(await run_probe(canaries, target))
        await asyncio.sleep(max(0.0, interval - (time.monotonic() - started)))
