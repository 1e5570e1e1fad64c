"""What the guard costs before a real vLLM: the same requests straight to it and through the guard, turn by turn in one run.

One vLLM serves the merged copy of an adapter that changes nothing, and then the base model itself. It is asked

- ``as the guard asks``: stamped, held to the extended labels or left room for the prefix; what is left is the guard's own cost;
- ``without a defence``: the client's text alone, one token for a label; what a client of an undefended adapter waits for.

vLLM's prefix cache is off, so that each question is computed whole, the benign trigger too. The rounds take turns, so that a machine that slows down slows all; the ratios are of the medians.

    .venv/bin/python -m benchmarks.vllm_overhead --write
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import uvloop

from benchmarks.documents import LOAD_DOCUMENT, RESULTS, where, write_figures, write_section
from benchmarks.load import load
from benchmarks.serving_bed import Process, client_request, free_port, post, running, serve, wait_until
from benchmarks.vllm_bed import BASE, make_adapters
from guard_server.adapter import LoadedAdapter, load_adapters
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.merging import merged_copy
from guard_server.pipeline import answer_with
from guard_server.prompt_guard import parse_chat
from guard_server.settings import GuardConfig, Limits

_START_S = 600
_TOKENS = 24
CONCURRENCIES = (1, 8)
GUARD, ENGINE, PLAIN, BASE_MODEL = "through the guard", "as the guard asks", "without a defence", "base model"


class Subject(NamedTuple):
    """What is asked, and where."""

    name: str
    port: int
    request: bytes


class Row(NamedTuple):
    """The median of the rounds.

    Attributes:
        task: ``label``, ``text`` or ``text, streamed``.
        concurrency: Requests at once.
        subject: How vLLM was reached.
        rates: Requests a second of each round.
        p50: Milliseconds, of each round.
        failed: Answers that were not 200.
    """

    task: str
    concurrency: int
    subject: str
    rates: tuple[float, ...]
    p50: tuple[float, ...]
    failed: int


@contextmanager
def vllm(directory: Path, name: str) -> Iterator[Process]:
    """Run vLLM, as the guard would start it, on a port of loopback until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "guard_server.engine.launch", "--model", str(directory)]
    command += ["--served-model-name", name, "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", "1024", "--max-num-seqs", "32", "--enforce-eager"]
    command += ["--generation-config", "vllm", "--uvicorn-log-level", "warning"]
    # The same question comes again and again: cached, it would cost one token.
    command += ["--no-enable-prefix-caching"]
    environment = {
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(os.cpu_count()),
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "TORCH_COMPILE_DISABLE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    with (
        Path(os.devnull).open("wb") as nowhere,
        running(command, stdout=nowhere, stderr=nowhere, env=os.environ | environment) as popen,
    ):
        wait_until(f"http://127.0.0.1:{port}/health", popen, _START_S)
        yield Process(popen, port)


def asked_by_the_guard(adapter: LoadedAdapter, body: bytes) -> tuple[Endpoint, Payload]:
    """Return what the guard asks an engine for a client's body."""
    found: list[tuple[Endpoint, Payload]] = []

    def note(endpoint: Endpoint, payload: Payload) -> Payload:
        found.append((endpoint, payload))
        raise _NotedError

    asked = parse_chat(body.partition(b"\r\n\r\n")[2], Limits())
    with suppress(_NotedError):
        asyncio.run(answer_with(FakeEngine(note), adapter, asked, _TOKENS))
    return found[0]


class _NotedError(Exception):
    """The question is known: no answer is needed."""


def subjects_of(adapter: LoadedAdapter, engine: Process, guard: Process, *, stream: bool) -> list[Subject]:
    """Return the ways of asking an engine that serves one adapter."""
    more: Payload = {} if adapter.name == "sorter" else {"max_tokens": _TOKENS}
    client = client_request(adapter.name, stream=stream, **more)
    endpoint, payload = asked_by_the_guard(adapter, client_request(adapter.name, stream=False, **more))
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    found = [
        Subject(GUARD, guard.port, client),
        Subject(ENGINE, engine.port, post(payload | streamed, endpoint)),
    ]
    if adapter.name == "sorter":
        found.append(Subject(PLAIN, engine.port, post(undefended(adapter, payload), Endpoint.COMPLETIONS)))
    return found


def undefended(adapter: LoadedAdapter, payload: Payload) -> Payload:
    """Return the question for a label without the benign trigger, held to the original labels' tokens."""
    trigger = adapter.manifest.benign_trigger
    prompt = str(payload["prompt"]).replace(trigger.text if trigger else "", "", 1)
    labels = sorted(payload["allowed_token_ids"])
    return {"model": payload["model"], "prompt": prompt, "max_tokens": 1, "temperature": 0} | {
        "allowed_token_ids": labels
    }


def measure(task: str, subjects: list[Subject], rounds: int, seconds: float) -> list[Row]:
    """Measure the subjects turn by turn, at each concurrency."""
    rows = []
    for concurrency in CONCURRENCIES:
        rates: dict[str, list[float]] = {subject.name: [] for subject in subjects}
        waits: dict[str, list[float]] = {subject.name: [] for subject in subjects}
        failed = dict.fromkeys(rates, 0)
        for number in range(rounds + 1):
            for subject in subjects:
                long = seconds if number else 2.0
                run = uvloop.run(load(subject.port, subject.request, connections=concurrency, seconds=long))
                failed[subject.name] += sum(run.statuses.values()) - run.statuses.get(200, 0)
                # The first round warms up.
                if number:
                    rates[subject.name].append(run.rate)
                    waits[subject.name] += run.quantiles_ms(0.5)
        rows += [
            Row(task, concurrency, name, tuple(rates[name]), tuple(waits[name]), failed[name])
            for name in rates
        ]
    return rows


def measure_all(home: Path, rounds: int, seconds: float) -> list[Row]:
    """Measure labels and text on merged copies, then labels on the base model."""
    directories = make_adapters(home)
    rows: list[Row] = []
    for name, tasks in (("sorter", {"label": False}), ("writer", {"text": False, "text, streamed": True})):
        config = {
            "listen": f"127.0.0.1:{free_port()}",
            "base_model": str(BASE.absolute()),
            "cache": str(home / "cache"),
            "adapters": [{"name": name, "path": str(directories[name])}],
        }
        adapter = load_adapters(GuardConfig.model_validate(config))[name]
        merged = merged_copy(adapter, BASE.absolute(), home / "cache")
        with vllm(merged, adapter.target) as engine:
            served = config | {"engine": {"url": engine.url}}
            with serve(home / f"{name}.yaml", served, seconds=_START_S) as guard:
                for task, stream in tasks.items():
                    ways = subjects_of(adapter, engine, guard, stream=stream)
                    rows += measure(task, ways, rounds, seconds)
        if name == "sorter":
            with vllm(BASE, adapter.target) as engine:
                plain = next(way for way in ways if way.name == PLAIN)
                base = plain._replace(name=BASE_MODEL, port=engine.port)
                rows += measure("label", [base], rounds, seconds)
    return rows


def lines(rows: list[Row]) -> Iterator[tuple[str, ...]]:
    """Yield the rows as text, each beside the same question that went straight to the engine."""
    rates = {(row.task, row.concurrency, row.subject): statistics.median(row.rates) for row in rows}
    for row in rows:
        rate = rates[row.task, row.concurrency, row.subject]
        straight = rates[row.task, row.concurrency, ENGINE]
        each = ", ".join(f"{one:.2f}" for one in row.rates)
        yield (
            row.task,
            str(row.concurrency),
            row.subject,
            f"{rate:.2f} ({each})",
            f"{statistics.median(row.p50):.1f}",
            f"{100 * (rate / straight - 1):+.1f} %",
            str(row.failed),
        )


COLUMNS = (
    "answer",
    "at once",
    "how",
    "requests/s (each round)",
    "p50 ms",
    "against the engine asked so",
    "failed",
)


def markdown(rows: list[Row]) -> str:
    """Return the rows in Markdown."""
    head = [COLUMNS, ("---",) * len(COLUMNS)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (*head, *lines(rows)))


def main() -> None:
    """Measure, print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of each round")
    parser.add_argument("--write", action="store_true", help=f"into {LOAD_DOCUMENT} and {RESULTS}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="v-") as home:
        rows = measure_all(Path(home), given.rounds, given.seconds)
    print(markdown(rows))
    if given.write:
        write_figures("vllm", {"seconds": given.seconds, "rows": [row._asdict() for row in rows]})
        command = (
            f"python -m benchmarks.vllm_overhead --rounds {given.rounds} --seconds {given.seconds:g} --write"
        )
        write_section(LOAD_DOCUMENT, "vllm", f"Measured {where()}, by `{command}`.\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
