"""Faults under traffic, one after the other: what clients see, and how long until it is over.

The engine is ``benchmarks/fast_engine.py`` in a process of its own, the guard another; eight clients ask again and again, four for labels
and four for streamed text. Faults of a vLLM that the guard itself started (killed, hung, its socket removed) are in
``tests/guard_server/engine/test_child.py`` and, on real vLLM, in ``tests/end_to_end/test_real_engine.py``.

    .venv/bin/python -m benchmarks.faults
    .venv/bin/python -m benchmarks.faults --only engine-killed --output faults.json
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.load import Measured, load
from benchmarks.serving_bed import Bed, Process, client_request, fast_engine, free_port, guard, make_bed

_BEFORE_S = 2.0
_MARK = b'"p2p_guard"'


@dataclass
class Place:
    """Everything that runs, for a fault to act on."""

    bed: Bed
    stack: ExitStack
    engines: list[Process] = field(default_factory=list)
    guard: Process | None = None
    log: Path = Path(os.devnull)

    def start_engine(self, port: int = 0, *more: str) -> Process:
        """Start one more engine."""
        found = self.stack.enter_context(fast_engine(self.bed, *more, port=port))
        self.engines.append(found)
        return found

    def signal_engine(self, which: signal.Signals, at: int = 0) -> None:
        """Send a signal to an engine."""
        os.kill(self.engines[at].popen.pid, which)

    def mode(self, name: str) -> None:
        """Switch a fault of the engine on or off."""
        httpx.get(f"http://127.0.0.1:{self.engines[0].port}/fake/{name}")

    def start_guard(self, port: int) -> None:
        """Start the guard before all engines."""
        engines = [engine.port for engine in self.engines]
        self.guard = self.stack.enter_context(guard(self.bed, engines, port=port, log=self.log))


class Fault(NamedTuple):
    """A fault.

    Attributes:
        name: Of the row.
        begin: Makes it.
        end: Ends it; None where the guard has to do that, or it does not end.
        seconds: From its beginning to its end.
        engines: How many engines there are.
        log: Where the guard's log goes.
    """

    name: str
    begin: Callable[[Place], None]
    end: Callable[[Place], None] | None
    seconds: float = 3
    engines: int = 1
    log: Path = Path(os.devnull)


class Row(NamedTuple):
    """What came of a fault: answers by status before, during and after it, and when the first good one came after its end."""

    name: str
    during: dict[int, int]
    after: dict[int, int]
    recovery_s: float | None
    slowest_ms: float
    unguarded: int


def _kill(place: Place) -> None:
    place.signal_engine(signal.SIGKILL)
    place.engines[0].popen.wait()


def _again(place: Place) -> None:
    place.start_engine(place.engines[0].port, "--gap-ms", "2")


def _other_model(place: Place) -> None:
    port = place.engines[0].port
    _kill(place)
    other = place.bed._replace(targets={"sorter": "other@0", "writer": "other@1"})
    place.engines[0] = place.stack.enter_context(fast_engine(other, port=port))


def _right_model(place: Place) -> None:
    _kill(place)
    _again(place)


def _remove_config(place: Place) -> None:
    assert place.guard is not None
    (place.bed.home / f"guard-{place.guard.port}.yaml").unlink()


def _stop_guard(place: Place) -> None:
    assert place.guard is not None
    place.guard.popen.terminate()
    place.guard.popen.wait()


def _kill_guard(place: Place) -> None:
    assert place.guard is not None
    place.guard.popen.kill()
    place.guard.popen.wait()


def _guard_again(place: Place) -> None:
    assert place.guard is not None
    place.start_guard(place.guard.port)


FAULTS = (
    Fault("engine-killed", _kill, _again),
    Fault(
        "engine-hung",
        lambda place: place.signal_engine(signal.SIGSTOP),
        lambda place: place.signal_engine(signal.SIGCONT),
        15,
    ),
    Fault("engine-slow", lambda place: place.mode("slow"), lambda place: place.mode("well")),
    Fault("engine-out-of-memory", lambda place: place.mode("full"), lambda place: place.mode("well")),
    Fault("half-a-response", lambda place: place.mode("half"), lambda place: place.mode("well")),
    Fault("another-model", _other_model, _right_model, 6),
    Fault("one-of-two-killed", _kill, _again, engines=2),
    Fault(
        "one-of-two-hung",
        lambda place: place.signal_engine(signal.SIGSTOP),
        lambda place: place.signal_engine(signal.SIGCONT),
        15,
        2,
    ),
    Fault("one-of-two-another-model", _other_model, _right_model, 6, 2),
    Fault("log-disk-full-and-engine-killed", _kill, _again, log=Path("/dev/full")),
    Fault("config-deleted", _remove_config, None),
    Fault("guard-sigterm", _stop_guard, _guard_again),
    Fault("guard-killed", _kill_guard, _guard_again),
)


async def under_traffic(place: Place, fault: Fault) -> Row:
    """Make a fault while clients ask, end it, and see what comes of it."""
    assert place.guard is not None
    total = _BEFORE_S + fault.seconds + 12
    kinds = [client_request("sorter", stream=False), client_request("writer", stream=True)]
    asking = [
        asyncio.create_task(load(place.guard.port, kind, connections=4, seconds=total, mark=_MARK))
        for kind in kinds
    ]
    clock = asyncio.get_running_loop().time
    started = clock()
    await asyncio.sleep(_BEFORE_S)
    begun = clock() - started
    await asyncio.to_thread(fault.begin, place)
    await asyncio.sleep(fault.seconds)
    if fault.end:
        await asyncio.to_thread(fault.end, place)
    ended = clock() - started
    return _row(fault, await asyncio.gather(*asking), begun, ended)


def _row(fault: Fault, found: list[Measured], begun: float, ended: float) -> Row:
    times = sorted(moment for measured in found for moment in measured.times)
    during, after = _count(times, begun, ended), _count(times, ended, float("inf"))
    good = [at - ended for at, status in times if at >= ended and status == 200]
    slowest = 1000 * max(measured.latencies[-1] for measured in found if measured.latencies)
    return Row(
        fault.name,
        during,
        after,
        good[0] if good else None,
        slowest,
        sum(measured.unguarded for measured in found),
    )


def _count(times: list[tuple[float, int]], start: float, end: float) -> dict[int, int]:
    found: dict[int, int] = {}
    for at, status in times:
        if start <= at < end:
            found[status] = found.get(status, 0) + 1
    return dict(sorted(found.items()))


@contextmanager
def place_for(fault: Fault) -> Iterator[Place]:
    """Start engines and guard for a fault."""
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        place = Place(make_bed(Path(home) / "bed"), stack, log=fault.log)
        for _ in range(fault.engines):
            place.start_engine(0, "--gap-ms", "2")
        place.start_guard(free_port())
        yield place


def main() -> None:
    """Go through the faults and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=[fault.name for fault in FAULTS])
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    rows = []
    for fault in FAULTS:
        if not given.only or fault.name in given.only:
            with place_for(fault) as place:
                rows.append(uvloop.run(under_traffic(place, fault)))
    table = Table(
        "fault", "answers during it", "after it", "first good one, s", "slowest good one, ms", "unguarded"
    )
    for row in rows:
        figures = (
            "-" if row.recovery_s is None else f"{row.recovery_s:.2f}",
            f"{row.slowest_ms:.0f}",
            str(row.unguarded),
        )
        table.add_row(row.name, str(row.during), str(row.after), *figures)
    Console(width=150).print(table)
    if given.output:
        given.output.write_text(
            json.dumps([row._asdict() for row in rows], indent=1) + "\n", encoding="utf-8"
        )
    if any(row.unguarded for row in rows):
        sys.exit("an answer was not guarded")


if __name__ == "__main__":
    main()
