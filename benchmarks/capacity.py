"""What one guard process can carry: requests a second of a core, memory of an open stream, and metrics of many adapters.

The guard has a core to itself where there is more than one; the engine that answers at once and the load share the others. ``CPU ms`` is the
processor time of the guard's process for a request, and a second divided by it is the rate that a core allows: unlike the rate that was
seen, it hardly depends on what else the machine does. Takes about two minutes.

    .venv/bin/python -m benchmarks.capacity --output capacity.json --write docs/capacity.md
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import uvloop
from prometheus_client import CollectorRegistry

from benchmarks import capacity_page
from benchmarks.serve_overhead import CONCURRENCIES, Row, Subject, measure
from benchmarks.serving_bed import Bed, Process, client_request, fast_engine, free_port, guard, make_bed
from guard_server.answers import Outcome
from guard_server.metrics import GuardMetrics

_STREAMS = (0, 200, 1000)
_ADAPTERS = (1, 10, 100, 1000)
_IDLE_GAP_MS = 60_000
# Few pieces, so that the first one has the whole prefix and the stream begins.
_IDLE_PIECES = 4
_SETTLE_S = 2.0


class Streams(NamedTuple):
    """Memory of the guard's process while idle streams are open."""

    streams: int
    rss_bytes: int


class Series(NamedTuple):
    """What a scrape has and costs; ``usual`` are adapters that are asked chats which end well, else every outcome of every endpoint."""

    adapters: int
    usual: bool
    series: int
    text_bytes: int
    seconds: float


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Keep this process, and what it starts, on these cores until the block ends."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores_for() -> tuple[set[int], set[int]]:
    """Return the guard's core and the others; one core alone is shared."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


def measure_rates(bed: Bed, seconds: float) -> list[Row]:
    """Measure labels, and text whole and streamed, at each concurrency."""
    own, others = cores_for()
    with ExitStack() as stack:
        stack.enter_context(on_cores(others))
        engine = stack.enter_context(fast_engine(bed))
        with on_cores(own):
            served = stack.enter_context(guard(bed, [engine], port=free_port()))
        subject = Subject("guard", served, is_guard=True)
        return [
            measure(bed, subject, task, concurrency, seconds, stream=stream)
            for task, stream in (("sorter", False), ("writer", False), ("writer", True))
            for concurrency in CONCURRENCIES
        ]


def measure_streams(bed: Bed) -> list[Streams]:
    """Measure the guard's memory with more and more open streams that say nothing after their first words."""
    idle = ("--gap-ms", str(_IDLE_GAP_MS), "--pieces", str(_IDLE_PIECES))
    limit = 2 * max(_STREAMS)
    with (
        fast_engine(bed, *idle) as engine,
        guard(bed, [engine], port=free_port(), in_flight=limit) as served,
    ):
        return uvloop.run(_open_more_and_more(served, engine))


async def _open_more_and_more(served: Process, engine: Process) -> list[Streams]:
    watched, found = psutil.Process(served.popen.pid), []
    # What is loaded at the first requests is no stream's memory.
    async with AsyncExitStack() as stack:
        await _open(served.port, 50, stack)
    async with AsyncExitStack() as stack:
        opened = 0
        for streams in _STREAMS:
            await _open(served.port, streams - opened, stack)
            opened = streams
            await asyncio.sleep(_SETTLE_S)
            assert await _running_in(engine) == streams
            found.append(Streams(streams, watched.memory_info().rss))
    return found


async def _running_in(engine: Process) -> int:
    async with httpx.AsyncClient() as client:
        reply = await client.get(f"http://127.0.0.1:{engine.port}/fake/well")
    running: int = reply.json()["running"]
    return running


async def _open(port: int, count: int, stack: AsyncExitStack) -> None:
    """Open streams and wait until each has begun."""
    request = client_request("writer", stream=True)
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(_hang_up, reader, writer)
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 200"), head
        await asyncio.wait_for(reader.readuntil(b"data: "), 30)


def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End a connection. A reader that nobody keeps would end it at once, so that it is named here, too."""
    writer.transport.abort()


def measure_series() -> list[Series]:
    """Count and time what a scrape of many adapters has."""
    return [_scraped(adapters, usual=usual) for usual in (True, False) for adapters in _ADAPTERS]


def _scraped(adapters: int, *, usual: bool) -> Series:
    metrics = GuardMetrics(CollectorRegistry())
    for at in range(adapters):
        _ask(metrics, f"adapter-{at}", usual=usual)
    started = time.process_time()
    text = asyncio.run(metrics.exposition.text())
    seconds = time.process_time() - started
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    return Series(adapters, usual, series, len(text), seconds)


def _ask(metrics: GuardMetrics, name: str, *, usual: bool) -> None:
    """Leave in the metrics what an adapter's traffic leaves there."""
    metrics.show_version(name, "0123456789ab")
    for histogram in (metrics.duration, metrics.overhead, metrics.first_token):
        histogram.labels(name).observe(0.01)
    for endpoint in ("chat",) if usual else ("chat", "completions"):
        for outcome in (Outcome.PROJECTED,) if usual else Outcome:
            metrics.requests.labels(name, endpoint, outcome).inc()


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    named = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    own, others = cores_for()
    return {
        "cpu": named or platform.processor(),
        "cores": os.cpu_count(),
        "guard_alone_on_a_core": own != others,
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def main() -> None:
    """Measure, print tables and JSON, and write both where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4, help="of load at each concurrency")
    parser.add_argument(
        "--answer-s", type=float, default=5, help="seconds that an answer takes, for the plan"
    )
    parser.add_argument(
        "--engine-rate",
        type=float,
        action="append",
        default=[],
        help="requests/s of one engine replica, for the plan; may be given again",
    )
    parser.add_argument("--output", type=Path, help="JSON")
    parser.add_argument("--write", type=Path, help="the page whose tables are replaced")
    given = parser.parse_args()
    found: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as home:
        bed = make_bed(Path(home) / "bed")
        found["rates"] = [row._asdict() for row in measure_rates(bed, given.seconds)]
        streams = measure_streams(bed)
    found["streams"] = [point._asdict() for point in streams]
    found["stream_bytes"] = statistics.linear_regression(*zip(*streams, strict=True)).slope
    found["series"] = [point._asdict() for point in measure_series()]
    found["assumed"] = {"engine_rates": given.engine_rate or [10, 100, 1000], "answer_s": given.answer_s}
    tables = capacity_page.tables(found)
    print(json.dumps(found, indent=1), *tables.values(), sep="\n\n")
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if given.write:
        page = given.write.read_text(encoding="utf-8")
        given.write.write_text(capacity_page.filled(page, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
