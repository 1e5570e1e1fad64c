"""The promise of the switch, under constant traffic. The same is shown on real vLLM in tests/end_to_end/test_switching.py."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from guard_server.adapters.history import Actor
from tests.guard_server.adapters.conftest import Guarded, guarding, writer_config

SWITCHES = 200
WORKERS = 4


class Traffic:
    """Asks without a pause, and notes every answer that no live version of its time could have given."""

    def __init__(self, guarded: Guarded) -> None:
        self.begun = self.acknowledged = 0
        self.answers = self.strict = 0
        self.wrong: list[str] = []
        self.is_over = False
        self._guarded = guarded

    @staticmethod
    def word(number: int) -> str:
        """The version that the n-th switch makes live; 0 is the start."""
        return ("one", "two")[number % 2]

    async def ask(self, *, stream: bool) -> None:
        while not self.is_over:
            first = self.acknowledged
            said = await self._guarded.says(stream=stream)
            possible = {self.word(number) for number in range(first, self.begun + 1)}
            self.answers += 1
            self.strict += len(possible) == 1
            if said not in possible:
                self.wrong.append(f"{said}, not {possible}")


async def test_200_switches_under_traffic(tmp_path: Path, base_model: Path, versions: Callable[[str], Path]):
    sources = [versions("one"), versions("two")]
    async with guarding(writer_config(tmp_path, base_model, sources[0])) as guarded:
        guarded.engine.seconds = 0.01
        traffic = Traffic(guarded)
        asking = [asyncio.create_task(traffic.ask(stream=bool(at % 2))) for at in range(WORKERS)]
        for number in range(1, SWITCHES + 1):
            await guarded.lifecycle.load("writer", Actor.ADMIN, str(sources[number % 2]))
            traffic.begun = number
            promoted = await guarded.admin.post("/admin/v1/adapters/writer/promote")
            traffic.acknowledged = number
            assert promoted.status_code == 200
            assert await guarded.says() == traffic.word(number)
        traffic.is_over = True
        # A request that failed raises here.
        await asyncio.gather(*asking)
        await guarded.settled()
    assert traffic.wrong == []
    assert traffic.answers > SWITCHES
    assert traffic.strict > SWITCHES
    # How many, depends on how long answers take: a version that is promoted again while it drains stays.
    assert guarded.engine.unloads
    assert len(guarded.engine.loaded) == 1
    assert guarded.metric("p2p_guard_adapter_switches_total", adapter="writer") == SWITCHES
