import asyncio
import socket

import httpx
import pytest

from guard_server.errors import GuardConfigError
from guard_server.probes.exporter import export_forever
from guard_server.probes.prober import Schedule
from guard_server.probes.runner import RunOptions
from tests.guard_server.probes.conftest import ScriptedAsker, backdoored, canaries


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def test_rounds_are_repeated_and_shown_until_cancelled(tmp_path):
    # The first round can't be made: the guard does not know the key yet.
    asked: list[str] = []
    enough = asyncio.Event()

    def says(text: str) -> object:
        asked.append(text)
        if len(asked) == 8:
            enough.set()
        return GuardConfigError("401") if len(asked) == 1 else backdoored(text)

    port = free_port()
    schedule = Schedule(canaries(2), 0.05, RunOptions(concurrency=1))
    running = asyncio.create_task(export_forever(ScriptedAsker(says), schedule, port, tmp_path / "h.sqlite"))
    await asyncio.wait_for(enough.wait(), 20)
    async with httpx.AsyncClient() as client:
        shown = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert 'p2p_probe_attack_success_ratio{adapter="support",attack="badnets"} 1.0' in shown
    assert 'p2p_probe_runs_total{adapter="support",verdict="error"} 1.0' in shown
    assert (tmp_path / "h.sqlite").is_file()
