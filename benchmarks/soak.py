"""A guard at twice its capacity for a while: whether its memory stays flat, and what is over the limit gets 429.

The engine answers after 50 ms and the guard lets 64 requests in at once; 128 connections ask again as soon as they have an answer, labels
and text, whole and streamed, and some clients go away in the middle.

    .venv/bin/python -m benchmarks.soak --minutes 15
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import psutil
import uvloop

from benchmarks.documents import LOAD_DOCUMENT, RESULTS, where, write_figures, write_section
from benchmarks.load import Measured, load
from benchmarks.serving_bed import Process, client_request, fast_engine, free_port, guard, make_bed

_IN_FLIGHT = 64
_MIB = 1 << 20
_LIMIT_MIB = 250
_GROWTH_MIB = 5


async def soak(process: Process, minutes: float) -> tuple[list[Measured], list[float]]:
    """Return what each kind of request gave, and the guard's memory in MiB every few seconds."""
    seconds = 60 * minutes
    kinds = [client_request(task, stream=stream) for task in ("sorter", "writer") for stream in (False, True)]
    share = 2 * _IN_FLIGHT // len(kinds)
    watching = asyncio.create_task(_watch(process, seconds))
    leaving = asyncio.create_task(_leave_early(process.port, kinds[-1]))
    found = await asyncio.gather(
        *(load(process.port, kind, connections=share, seconds=seconds) for kind in kinds)
    )
    leaving.cancel()
    return list(found), await watching


async def _watch(process: Process, seconds: float) -> list[float]:
    watched, every, seen = psutil.Process(process.popen.pid), max(1.0, seconds / 60), []
    for _ in range(int(seconds / every)):
        await asyncio.sleep(every)
        seen.append(watched.memory_info().rss / _MIB)
        print(f"{len(seen) * every:6.0f} s  {seen[-1]:6.1f} MiB", flush=True)
    return seen


async def _leave_early(port: int, request: bytes) -> None:
    """Ask and go, ten times a second."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            await asyncio.sleep(0.1)
            writer.transport.abort()


class Soaked(NamedTuple):
    """What came of it.

    Attributes:
        minutes: How long it took.
        statuses: Answers by what a client saw.
        memory_mib: The guard's resident memory, evenly over the time.
    """

    minutes: float
    statuses: dict[int, int]
    memory_mib: list[float]

    @property
    def growth_mib(self) -> float:
        """How far the highest of the last three samples is above the highest of the three from the middle on."""
        half = len(self.memory_mib) // 2
        return max(self.memory_mib[-3:]) - max(self.memory_mib[half : half + 3])

    def sentence(self) -> str:
        """Return it in words."""
        return (
            f"{self.minutes:.0f} minutes: {self.statuses.get(200, 0):,} answers, {self.statuses.get(429, 0):,} times 429, "
            f"{sum(n for status, n in self.statuses.items() if status not in {200, 429}):,} anything else; the guard's memory "
            f"at most {max(self.memory_mib):.1f} MiB (limit {_LIMIT_MIB}), and {self.growth_mib:+.1f} MiB over the second half."
        )


def run(minutes: float) -> Soaked:
    """Start engine and guard, and soak."""
    with tempfile.TemporaryDirectory() as home:
        bed = make_bed(Path(home) / "bed")
        with (
            fast_engine(bed, "--delay-ms", "50", "--gap-ms", "1") as engine,
            guard(bed, [engine], port=free_port(), in_flight=_IN_FLIGHT) as process,
        ):
            found, memory = uvloop.run(soak(process, minutes))
    statuses: dict[int, int] = {}
    for measured in found:
        for status, count in measured.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    return Soaked(minutes, statuses, memory)


def main() -> None:
    """Soak, and fail when a request failed or the memory is over the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--write", action="store_true", help=f"into {LOAD_DOCUMENT} and {RESULTS}")
    given = parser.parse_args()
    found = run(given.minutes)
    print(found.sentence())
    if given.write:
        write_figures("soak", found._asdict() | {"growth_mib": found.growth_mib})
        text = f"Measured {where()}, by `python -m benchmarks.soak --write`.\n\n{found.sentence()}"
        write_section(LOAD_DOCUMENT, "soak", text)
    if not set(found.statuses) <= {200, 429}:
        sys.exit("some requests failed")
    if max(found.memory_mib) > _LIMIT_MIB or found.growth_mib > _GROWTH_MIB:
        sys.exit("too much memory, or it grows")


if __name__ == "__main__":
    main()
