"""A guard at twice its capacity for a while: whether its memory stays flat, and what is over the limit gets 429.

The engine answers after 50 ms and the guard lets 64 requests in at once; 128 connections ask again as soon as they have an answer, labels
and text, whole and streamed, and some clients go away in the middle.

    .venv/bin/python -m benchmarks.soak --minutes 15
"""

import argparse
import asyncio
import contextlib
import tempfile
from pathlib import Path

import psutil
import uvloop

from benchmarks.load import Measured, load
from benchmarks.serving_bed import Process, client_request, fast_engine, free_port, guard, make_bed

_IN_FLIGHT = 64
_MIB = 1 << 20
_LIMIT_MIB = 250


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


def main() -> None:
    """Soak, and fail when the memory is over the limit or still grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        bed = make_bed(Path(home) / "bed")
        with (
            fast_engine(bed, "--delay-ms", "50", "--gap-ms", "1") as engine,
            guard(bed, [engine], port=free_port(), in_flight=_IN_FLIGHT) as process,
        ):
            found, memory = uvloop.run(soak(process, given.minutes))
    statuses: dict[int, int] = {}
    for measured in found:
        for status, count in measured.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    half, growth = len(memory) // 2, max(memory[-3:]) - max(memory[len(memory) // 2 :][:3])
    print(
        f"answers by status: {statuses}; at most {max(memory):.1f} MiB; second half grew by {growth:+.1f} MiB ({half} samples)"
    )
    assert set(statuses) <= {200, 429}, "some requests failed"
    assert max(memory) <= _LIMIT_MIB, "too much memory"


if __name__ == "__main__":
    main()
