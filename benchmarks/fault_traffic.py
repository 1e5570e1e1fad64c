"""A fault in the middle of traffic: clients ask all the time, something breaks, and every answer is looked at."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import orjson

from benchmarks.documents import when
from benchmarks.load import BROKEN_OFF, ERROR_FRAME, NO_ANSWER, NO_CONNECTION, Answered, Judge, Load

P = TypeVar("P")
_SEEN_AS = {
    NO_CONNECTION: "no connection",
    BROKEN_OFF: "broken off",
    ERROR_FRAME: "error frame",
    NO_ANSWER: "no answer",
}
_MARK = b'"p2p_guard"'


@dataclass(frozen=True)
class Fault(Generic[P]):
    """Something that breaks.

    Attributes:
        name: Of the row.
        what: What is done, in words.
        begin: Does it.
        end: Undoes it, from outside; None where the guard itself has to get over it.
        seconds: From its beginning to its end.
        shows_after_s: Seconds that it may take until anybody notices it; it is not over before.
    """

    name: str
    what: str
    begin: Callable[[P], None]
    end: Callable[[P], None] | None = None
    seconds: float = 3
    shows_after_s: float = 0


class Row(NamedTuple):
    """What came of a fault.

    Attributes:
        name: Of the fault.
        what: What was done.
        seconds: How long it was there; 0 where the guard itself had to get over it.
        before: Answers before it, by what a client saw.
        during: Answers from its beginning until every kind of request was answered well, and none failed after that.
        recovery_s: From its end, or its beginning where nobody ended it, to that moment; None: never.
        longest_wait_s: What any request waited, whatever came of it.
        unanswered: Requests that came to no end at all.
        unguarded: Answers, or beginnings of one, that a guard may not give.
        measured: The day, and how busy the machine was.
    """

    name: str
    what: str
    seconds: float
    before: dict[str, int]
    during: dict[str, int]
    recovery_s: float | None
    longest_wait_s: float
    unanswered: int
    unguarded: int
    measured: str


@dataclass(frozen=True)
class Guarded:
    """Judges answers: none may hold a secret, whole ones must carry the guard's mark, labels must be the task's own.

    Attributes:
        secrets: Prefix and benign trigger of the adapter.
        labels: The only answers that it may give; empty for free text.
    """

    secrets: tuple[str, ...]
    labels: frozenset[str] = frozenset()

    def __call__(self, status: int, answer: bytes) -> bool:
        """Whether the answer may leave a guard."""
        text = said(answer)
        if any(secret in text or secret.encode() in answer for secret in self.secrets):
            return False
        if status != 200:
            return not self.labels or not text or text in self.labels
        return _MARK in answer and (not self.labels or text in self.labels)


def said(answer: bytes) -> str:
    """Return the text of a chat's answer, whole or streamed; of one that broke off, what came of it."""
    _, _, body = answer.partition(b"\r\n\r\n")
    found = ""
    for line in body.split(b"\n"):
        try:
            choices = orjson.loads(line.removeprefix(b"data: ").strip())["choices"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            continue
        for choice in choices:
            found += choice.get("message", choice.get("delta", {})).get("content") or ""
    return found


class Traffic(NamedTuple):
    """What clients ask for.

    Attributes:
        port: The guard's.
        kinds: Requests by name, each with its judge.
        connections: Of each kind.
        before_s: Seconds of it before the fault.
        after_s: Seconds without a failure after which a fault is over.
        patience_s: Seconds to wait for that.
        pause_s: Seconds that a client waits after a failure before it asks again.
    """

    port: int
    kinds: Mapping[str, tuple[bytes, Judge]]
    connections: int = 4
    before_s: float = 2
    after_s: float = 3
    patience_s: float = 30
    pause_s: float = 0.05


async def under_traffic(fault: Fault[P], place: P, traffic: Traffic) -> Row:
    """Make a fault while clients ask, end it, and wait until they are answered again."""
    loads = [Load(traffic.port, request, judge, traffic.pause_s) for request, judge in traffic.kinds.values()]
    asking = [asyncio.create_task(one.run(traffic.connections)) for one in loads]
    clock = asyncio.get_running_loop().time
    started = clock()
    await asyncio.sleep(traffic.before_s)
    begun = clock() - started
    await asyncio.to_thread(fault.begin, place)
    since = clock() - started
    if fault.end:
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(fault.end, place)
        since = clock() - started
    well = await _wait_until_well(loads, since, traffic, fault.shows_after_s)
    for one in loads:
        one.stop()
    await asyncio.gather(*asking)
    return _row(fault, loads, begun, since, well)


async def _wait_until_well(
    loads: list[Load], since: float, traffic: Traffic, shows_after_s: float
) -> float | None:
    """Wait until nothing has failed for a while, and return when every kind was answered well after the last failure."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + traffic.patience_s
    started = clock() - since
    while clock() < deadline:
        failed = max(
            (answer.at for one in loads for answer in one.answers if answer.status != 200), default=0
        )
        found = [_first_good(one.answers, max(since, failed)) for one in loads]
        firsts = [first for first in found if first is not None]
        if (
            len(firsts) == len(loads)
            and clock() - started >= max(since + shows_after_s, failed) + traffic.after_s
        ):
            return max(firsts)
        await asyncio.sleep(0.1)
    return None


def _first_good(answers: list[Answered], since: float) -> float | None:
    return next((one.at for one in answers if one.status == 200 and one.at >= since), None)


def _row(fault: Fault[P], loads: list[Load], begun: float, since: float, well: float | None) -> Row:
    answers = [answer for one in loads for answer in one.answers]
    end = float("inf") if well is None else well
    return Row(
        name=fault.name,
        what=fault.what,
        seconds=since - begun if fault.end else 0,
        before=_count(answers, 0, begun),
        during=_count(answers, begun, end),
        recovery_s=None if well is None else well - since,
        longest_wait_s=max(answer.waited for answer in answers),
        unanswered=sum(one.asked - len(one.answers) for one in loads)
        + sum(answer.status == NO_ANSWER for answer in answers),
        unguarded=sum(one.wrong for one in loads),
        measured=when(),
    )


def _count(answers: list[Answered], start: float, end: float) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in answers:
        if start <= one.at < end:
            seen = _SEEN_AS.get(one.status, str(one.status))
            found[seen] = found.get(seen, 0) + 1
    return dict(sorted(found.items()))
