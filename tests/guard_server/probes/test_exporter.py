import asyncio
import socket

import httpx
import pytest

from guard_server.probes import exporter
from guard_server.probes.canary import CanarySet
from guard_server.probes.exporter import export_forever
from guard_server.probes.runner import AttackRates, ProbeResult, Target
from p2p.metrics.rate import Rate


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def result(hits: int, errors: int) -> ProbeResult:
    rates = AttackRates(Rate(k=hits, n=10), Rate(k=0, n=10), Rate(k=10, n=10))
    return ProbeResult("support", Rate(k=9, n=10), {"badnets": rates}, 20, errors, 0.1)


async def test_rounds_are_repeated_and_shown_until_cancelled(monkeypatch: pytest.MonkeyPatch):
    rounds = iter([result(1, 2), result(5, 1)])
    both = asyncio.Event()

    async def run_probe(*_: object) -> ProbeResult:
        try:
            return next(rounds)
        except StopIteration:
            both.set()
            return await asyncio.Future()

    monkeypatch.setattr(exporter, "run_probe", run_probe)
    port = free_port()
    canaries = CanarySet.model_construct(cases=())
    running = asyncio.create_task(export_forever(canaries, Target("http://x", "k", "support"), 0.01, port))
    await asyncio.wait_for(both.wait(), 5)
    async with httpx.AsyncClient() as client:
        shown = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert 'p2p_probe_attack_success_rate{attack="badnets",model="support"} 0.5' in shown
    assert 'p2p_probe_errors_total{model="support"} 3.0' in shown
    # Both rounds had errors: there was no success to tell the time of.
    assert "p2p_probe_last_success_timestamp_seconds{" not in shown
