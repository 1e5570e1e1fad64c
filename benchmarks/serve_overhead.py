"""What the guard costs: the same requests straight to an engine, through the guard, and through other proxies, in one run.

The engine is ``benchmarks/fast_engine.py``, which answers at once; nginx is the floor of what a proxy costs. ``cpu`` is the processor time
(user and system) of the process that is measured, a request; unlike latency and rate it hardly depends on what else the machine does.
What it costs before a real vLLM is in ``benchmarks/vllm_overhead.py``.

    .venv/bin/python -m benchmarks.serve_overhead --seconds 5
    .venv/bin/python -m benchmarks.serve_overhead --peer nginx --peer litellm --write
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.documents import LOAD_DOCUMENT, RESULTS, markdown_table, where, write_figures, write_section
from benchmarks.load import load
from benchmarks.peers import PEERS
from benchmarks.serving_bed import (
    Bed,
    Process,
    client_request,
    engine_request,
    fast_engine,
    free_port,
    guard,
    make_bed,
)

CONCURRENCIES = (1, 8, 64)
_WARM_S = 1.0


class Subject(NamedTuple):
    """What is measured.

    Attributes:
        name: In the table.
        process: It listens there, and its processor time is counted.
        is_guard: Whether it takes a client's request; others take the engine's.
    """

    name: str
    process: Process
    is_guard: bool = False


class Row(NamedTuple):
    """One measurement; times in milliseconds."""

    subject: str
    task: str
    stream: bool
    concurrency: int
    rate: float
    p50: float
    p99: float
    cpu: float
    failed: int


@contextmanager
def subjects(bed: Bed, peers: list[str]) -> Iterator[list[Subject]]:
    """Start everything and yield what is measured, the bare engine first."""
    with ExitStack() as stack:
        engine = stack.enter_context(fast_engine(bed))
        served = stack.enter_context(guard(bed, [engine], port=free_port()))
        found = [Subject("engine", engine), Subject("guard", served, is_guard=True)]
        for peer in peers:
            process = stack.enter_context(PEERS[peer](bed, engine.port))
            found.append(Subject(peer, process))
        yield found


def measure(bed: Bed, subject: Subject, task: str, concurrency: int, seconds: float, *, stream: bool) -> Row:
    """Measure one subject at one concurrency."""
    request = (
        client_request(task, stream=stream) if subject.is_guard else engine_request(bed, task, stream=stream)
    )
    port = subject.process.port
    uvloop.run(load(port, request, connections=concurrency, seconds=_WARM_S))
    before = subject.process.cpu_seconds
    found = uvloop.run(load(port, request, connections=concurrency, seconds=seconds))
    good = max(1, found.statuses.get(200, 0))
    cpu = 1000 * (subject.process.cpu_seconds - before) / good
    failed = sum(found.statuses.values()) - found.statuses.get(200, 0)
    p50, p99 = found.quantiles_ms(0.5, 0.99)
    return Row(subject.name, task, stream, concurrency, found.rate, p50, p99, cpu, failed)


COLUMNS = (
    "task", "stream", "at once", "subject", "requests/s", "p50 ms", "p99 ms", "added p50", "added p99", "CPU ms", "failed"
)  # fmt: skip


def lines(rows: list[Row]) -> Iterator[tuple[str, ...]]:
    """Yield the rows as text, what each subject adds to the bare engine among it."""
    bare = {(row.task, row.stream, row.concurrency): row for row in rows if row.subject == "engine"}
    for row in rows:
        engine = bare[row.task, row.stream, row.concurrency]
        yield (
            row.task,
            "yes" if row.stream else "no",
            str(row.concurrency),
            row.subject,
            f"{row.rate:.0f}",
            f"{row.p50:.2f}",
            f"{row.p99:.2f}",
            f"{row.p50 - engine.p50:+.2f}",
            f"{row.p99 - engine.p99:+.2f}",
            f"{row.cpu:.3f}",
            str(row.failed),
        )


def table(rows: list[Row]) -> Table:
    """Return the rows for a terminal."""
    found = Table(*COLUMNS)
    for line in lines(rows):
        found.add_row(*line)
    return found


def markdown(rows: list[Row]) -> str:
    """Return the rows in Markdown."""
    return markdown_table(COLUMNS, lines(rows))


def main() -> None:
    """Measure, print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--peer", action="append", default=[], choices=sorted(PEERS))
    parser.add_argument("--concurrency", type=int, action="append", default=[])
    parser.add_argument("--write", action="store_true", help=f"into {LOAD_DOCUMENT} and {RESULTS}")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as home:
        bed = make_bed(Path(home) / "bed")
        with subjects(bed, given.peer) as started:
            for task, stream in (("sorter", False), ("sorter", True), ("writer", False), ("writer", True)):
                for concurrency in given.concurrency or CONCURRENCIES:
                    rows += [
                        measure(bed, subject, task, concurrency, given.seconds, stream=stream)
                        for subject in started
                    ]
    Console(width=120).print(table(rows))
    if given.write:
        write_figures("overhead", {"seconds": given.seconds, "rows": [row._asdict() for row in rows]})
        peers = "".join(f" --peer {peer}" for peer in given.peer)
        command = f"python -m benchmarks.serve_overhead --seconds {given.seconds:g}{peers} --write"
        write_section(LOAD_DOCUMENT, "overhead", f"Measured {where()}, by `{command}`.\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
