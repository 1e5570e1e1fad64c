"""What the guard costs before a real vLLM: the same requests straight to it and through the guard, turn by turn in one run.

The engines serve the merged copies of four adapters (:mod:`benchmarks.vllm_bed`); what merging costs is in
:mod:`benchmarks.merged_copy`. They are asked

- ``as the guard asks``: stamped, held to the extended labels or left room for the prefix; what is left is the guard's own cost;
- ``without a defence``: the client's text alone, held to the original labels: two tokens, which are a label and the answer's end, as
  any client asks; or the first of them, which only a client can ask for that knows that labels are one token.

No two questions are alike, and they begin with different words, so that the prefix cache holds what stands before a client's text and no
more. The subjects take turns (one answer, or two seconds of eight at once), so that a machine that slows down slows all; ratios are of
two rates of one round, their mean with a 95 % bootstrap interval. The engine asked as the guard does stands there twice: what the two
differ by is the machine's.

    .venv/bin/python -m benchmarks.vllm_overhead --write
"""

import argparse
import asyncio
import math
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from benchmarks.documents import LOAD_DOCUMENT, RESULTS, markdown_table, where, write_figures, write_section
from benchmarks.load import load
from benchmarks.serving_bed import Process, client_request, free_port, post, running, serve, wait_until
from benchmarks.vllm_bed import BASE, make_adapters
from guard_server.adapter import LoadedAdapter, load_adapters
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.child import CPU_BLOCKS, cpu_environment
from guard_server.engine.fake import FakeEngine
from guard_server.merging import merged_copy
from guard_server.pipeline import answer_with
from guard_server.prompt_guard import parse_chat
from guard_server.settings import GuardConfig, Limits
from p2p.metrics.mean import bootstrap_interval
from p2p.phrases import PLAIN_WORDS
from p2p.tasks import ClassificationTask

_START_S = 600
_TOKENS = 24
TURNS_S = {1: 0.0, 8: 2.0}
"""How long a turn lasts, by how many requests are on their way at once; of one, it is an answer."""
_WARM_TURNS = 2
ENGINE, AGAIN = "as the guard asks", "the same again"
GUARD = "through the guard"
ONE, TWO = "without a defence, one token", "without a defence, to its end"


class Subject(NamedTuple):
    """What is asked, and where."""

    name: str
    process: Process
    request: bytes


class Turn(NamedTuple):
    """What a subject did in one round.

    Attributes:
        rate: Good answers a second.
        p50: Milliseconds.
        cpu: Milliseconds of processor time, an answer, of the process that was asked.
        failed: Answers that were not good.
    """

    rate: float
    p50: float
    cpu: float
    failed: int


class Row(NamedTuple):
    """One subject in all rounds.

    Attributes:
        task: What is answered: ``label``, ``label, instruction``, ``label in a chat``, ``text`` or ``text, streamed``.
        concurrency: Requests at once.
        subject: How vLLM was reached.
        turns: What it did in each.
    """

    task: str
    concurrency: int
    subject: str
    turns: list[Turn]


@contextmanager
def vllm(directory: Path, name: str) -> Iterator[Process]:
    """Run vLLM, as the guard would start it, on a port of loopback until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "guard_server.engine.launch", "--model", str(directory)]
    command += ["--served-model-name", name, "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", "1024", "--max-num-seqs", "32", "--enforce-eager"]
    command += ["--generation-config", "vllm", "--uvicorn-log-level", "warning", *CPU_BLOCKS]
    environment = cpu_environment(os.cpu_count() or 1, is_eager=True)
    environment |= {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
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
    """Return the ways of asking an engine that serves one adapter, the engine asked as the guard does first."""
    sorts = isinstance(adapter.manifest.task, ClassificationTask)
    more: Payload = {} if sorts else {"max_tokens": _TOKENS}
    client = client_request(adapter.name, stream=stream, **more)
    endpoint, payload = asked_by_the_guard(adapter, client_request(adapter.name, stream=False, **more))
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    straight = Subject(ENGINE, engine, post(payload | streamed, endpoint))
    found = [straight, straight._replace(name=AGAIN), Subject(GUARD, guard, client)]
    if sorts:
        found += [
            Subject(name, engine, post(undefended(adapter, payload, tokens), endpoint))
            for name, tokens in ((ONE, 1), (TWO, 2))
        ]
    return found


def undefended(adapter: LoadedAdapter, payload: Payload, tokens: int) -> Payload:
    """Return the question for a label without the benign trigger, for so many tokens."""
    trigger = adapter.manifest.benign_trigger
    stamp = trigger.text if trigger else ""
    if "messages" in payload:
        turns = payload["messages"]
        asked = {"messages": [turn | {"content": turn["content"].replace(stamp, "", 1)} for turn in turns]}
    else:
        asked = {"prompt": payload["prompt"].replace(stamp, "", 1)}
    more = {"max_tokens": tokens, "temperature": 0, "allowed_token_ids": sorted(payload["allowed_token_ids"])}
    return {"model": payload["model"], **asked, **more}


def never_alike(request: bytes) -> Callable[[], bytes]:
    """Return what gives a request again and again, its text with another first word each time and a number of its own."""
    before, after = request.split(_OPENING)

    def another() -> bytes:
        number = next(_numbers)
        word = _FIRST_WORDS[number % len(_FIRST_WORDS)].capitalize()
        return before + f"{word} {number:05d}".encode() + after

    return another


_numbers = count(1)
_OPENING = b"Order 00000"
_FIRST_WORDS = [word for word in PLAIN_WORDS if len(word) == len("Order")]
"""As long as the word in whose place they stand: a request says how long it is."""


def take_turn(subject: Subject, concurrency: int) -> Turn:
    """Ask one subject for a turn, and wait for the answers that are on their way at its end."""
    before = subject.process.cpu_seconds
    request = never_alike(subject.request)
    asked = load(subject.process.port, request, connections=concurrency, seconds=TURNS_S[concurrency])
    found = uvloop.run(asked)
    good = found.statuses.get(200, 0)
    cpu = 1000 * (subject.process.cpu_seconds - before) / max(1, good)
    return Turn(found.rate, found.quantiles_ms(0.5)[0], cpu, len(found.answers) - good)


def measure(task: str, subjects: list[Subject], rounds: Mapping[int, int]) -> Iterator[Row]:
    """Measure the subjects turn by turn, at each concurrency so many rounds, in an order that each round draws."""
    for concurrency, wanted in rounds.items():
        turns: dict[str, list[Turn]] = {subject.name: [] for subject in subjects}
        chance = random.Random(0)
        for _ in range(_WARM_TURNS + wanted):
            for subject in chance.sample(subjects, len(subjects)):
                turns[subject.name].append(take_turn(subject, concurrency))
        for subject in subjects:
            yield Row(task, concurrency, subject.name, turns[subject.name][_WARM_TURNS:])


def measure_all(home: Path, answers: int, rounds: int) -> Iterator[Row]:
    """Measure labels, of plain text (alone and after an instruction) and of chats, and text.

    Args:
        home: Where adapters, merged copies and configurations go.
        answers: Of each way of asking for a label, one at a time; for a text a twentieth.
        rounds: Of labels, eight at once; of texts half.
    """
    labels, texts = {1: answers, 8: rounds}, {1: -(-answers // 20), 8: -(-rounds // 2)}
    plain, streamed = (False, texts), (True, texts)
    planned = {
        "sorter": {"label": (False, labels)},
        "instructed-sorter": {"label, instruction": (False, labels)},
        "chat-sorter": {"label in a chat": (False, labels)},
        "writer": {"text": plain, "text, streamed": streamed},
    }
    directories = make_adapters(home, *planned)
    for name, tasks in planned.items():
        config = {
            "listen": f"127.0.0.1:{free_port()}",
            "base_model": str(BASE.absolute()),
            "cache": str(home / "cache"),
            "adapters": [{"name": name, "path": str(directories[name])}],
        }
        adapter = load_adapters(GuardConfig.model_validate(config))[name]
        merged = merged_copy(adapter, BASE.absolute(), home / "cache")
        with ExitStack() as stack:
            engine = stack.enter_context(vllm(merged, adapter.target))
            served = config | {"engine": {"url": engine.url}}
            guard = stack.enter_context(serve(home / f"{name}.yaml", served, seconds=_START_S))
            for task, (stream, wanted) in tasks.items():
                yield from measure(task, subjects_of(adapter, engine, guard, stream=stream), wanted)


def change(turns: list[Turn], of: list[Turn]) -> list[float]:
    """Return the logarithm of a rate over another, round by round."""
    return [math.log(mine.rate / theirs.rate) for mine, theirs in zip(turns, of, strict=True)]


def percent(changes: list[float]) -> tuple[float, float, float]:
    """Return by how many percent rates are above others: the mean over the rounds, and its 95 % bootstrap interval."""
    interval = bootstrap_interval(changes) or (math.nan, math.nan)
    middle, low, high = (100 * math.expm1(one) for one in (statistics.mean(changes), *interval))
    return middle, low, high


def told(found: tuple[float, float, float]) -> str:
    """Return a change in rate as text."""
    middle, low, high = found
    return f"{middle:+.1f} % ({low:+.1f} to {high:+.1f})"


def summary(rows: list[Row]) -> Iterator[dict[str, object]]:
    """Yield what the rows come to; the change is against the first subject of the same task and concurrency."""
    for row in rows:
        first = next(one for one in rows if one[:2] == row[:2])
        yield {
            "task": row.task,
            "at_once": row.concurrency,
            "subject": row.subject,
            "turns": len(row.turns),
            "rate": round(statistics.median(turn.rate for turn in row.turns), 3),
            "p50_ms": round(statistics.median(turn.p50 for turn in row.turns), 2),
            # One answer takes less than what the system counts by: the mean.
            "cpu_ms": round(statistics.mean(turn.cpu for turn in row.turns), 2),
            "change": [round(one, 2) for one in percent(change(row.turns, first.turns))],
            "failed": sum(turn.failed for turn in row.turns),
        }


COLUMNS = (
    "answer",
    "at once",
    "how",
    "requests/s",
    "p50 ms",
    "CPU ms",
    "rate against the first",
    "failed",
)


def markdown(found: list[dict[str, Any]]) -> str:
    """Return what the rows come to in Markdown."""
    lines = [
        (
            one["task"],
            str(one["at_once"]),
            one["subject"],
            f"{one['rate']:.2f}",
            f"{one['p50_ms']:.1f}",
            f"{one['cpu_ms']:.1f}",
            told(tuple(one["change"])),
            str(one["failed"]),
        )
        for one in found
    ]
    return markdown_table(COLUMNS, lines)


def against_undefended(found: list[dict[str, Any]]) -> str:
    """Return in Markdown by how many percent the median rate of guarded labels is above that of undefended ones."""
    rates = {(one["task"], one["at_once"], one["subject"]): one["rate"] for one in found}
    lines = [
        (
            task,
            str(at_once),
            *(f"{100 * (rate / rates[task, at_once, other] - 1):+.0f} %" for other in (TWO, ONE)),
        )
        for (task, at_once, subject), rate in rates.items()
        if subject == GUARD and (task, at_once, ONE) in rates
    ]
    return markdown_table(("guarded", "at once", f"against {TWO}", f"against {ONE}"), lines)


def main() -> None:
    """Measure, print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--answers", type=int, default=200, help="labels of each way, one at a time; texts: a twentieth"
    )
    parser.add_argument("--rounds", type=int, default=16, help="of labels, eight at once; texts: half")
    parser.add_argument("--write", action="store_true", help=f"into {LOAD_DOCUMENT} and {RESULTS}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="v-") as home:
        found = list(summary(list(measure_all(Path(home), given.answers, given.rounds))))
    tables = f"{markdown(found)}\n\n{against_undefended(found)}"
    print(tables)
    if given.write:
        turns = {str(at_once): seconds for at_once, seconds in TURNS_S.items()}
        write_figures("vllm", {"turn_seconds": turns, "rows": found})
        command = (
            f"python -m benchmarks.vllm_overhead --answers {given.answers} --rounds {given.rounds} --write"
        )
        write_section(LOAD_DOCUMENT, "vllm", f"Measured {where()}, by `{command}`.\n\n{tables}")


if __name__ == "__main__":
    main()
