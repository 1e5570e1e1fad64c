"""Repeated probing as a process of its own, with its figures at a port for Prometheus."""

from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server

from guard_server.probes.asking import Asker
from guard_server.probes.history import History
from guard_server.probes.metrics import ProbeMetrics
from guard_server.probes.prober import Prober, Schedule, probe_forever


async def export_forever(asker: Asker, schedule: Schedule, port: int, history: Path | None = None) -> None:
    """Probe and serve the figures at ``port`` until cancelled.

    Args:
        asker: Who is asked.
        schedule: When and how.
        port: Where ``/metrics`` is served.
        history: The file in which runs are kept; None keeps none.
    """
    registry = CollectorRegistry()
    prober = Prober(asker, schedule, ProbeMetrics(registry), History(history) if history else None)
    server, thread = start_http_server(port, registry=registry)
    try:
        await probe_forever([prober])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
