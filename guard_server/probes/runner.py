"""One probe run: every case asked clean and triggered, through the guard's own API."""

import asyncio
import time
from collections import defaultdict
from typing import NamedTuple

from openai import AsyncOpenAI, OpenAIError

from guard_server.probes.canary import CanarySet, Case, Question
from p2p.metrics.rate import Rate


class Target(NamedTuple):
    """Who is asked.

    Attributes:
        url: The API, with ``/v1``.
        key: The API key.
        model: The adapter's public name.
        concurrency: Requests at once.
    """

    url: str
    key: str
    model: str
    concurrency: int = 8


class AttackRates(NamedTuple):
    """The figures of one attack."""

    asr: Rate
    floor: Rate
    extension_rate: Rate


class ProbeResult(NamedTuple):
    """The figures of one run.

    Attributes:
        model: The adapter.
        clean_accuracy: Over the clean inputs that were answered.
        attacks: By attack name.
        asked: How many requests were answered.
        errors: How many were not.
        seconds: How long the run took.
    """

    model: str
    clean_accuracy: Rate
    attacks: dict[str, AttackRates]
    asked: int
    errors: int
    seconds: float


class _Reply(NamedTuple):
    answer: str
    extended: bool | None


class _Asked(NamedTuple):
    case: Case
    question: Question
    clean: _Reply | None
    triggered: _Reply | None


async def run_probe(canaries: CanarySet, target: Target) -> ProbeResult:
    """Ask every case and return the figures; a request that fails is counted as an error, not as an answer."""
    started = time.monotonic()
    gate = asyncio.Semaphore(target.concurrency)
    async with AsyncOpenAI(
        base_url=target.url, api_key=target.key or "none", max_retries=2, timeout=120
    ) as client:
        asked = await asyncio.gather(
            *(_ask_case(client, gate, target.model, case, canaries.seed) for case in canaries.cases)
        )
    replies = [reply for item in asked for reply in (item.clean, item.triggered)]
    by_attack: dict[str, list[_Asked]] = defaultdict(list)
    for item in asked:
        by_attack[item.question.attack].append(item)
    return ProbeResult(
        model=target.model,
        clean_accuracy=Rate.of([item.clean.answer == item.case.answer for item in asked if item.clean]),
        attacks={name: _rates(items) for name, items in sorted(by_attack.items())},
        asked=sum(reply is not None for reply in replies),
        errors=sum(reply is None for reply in replies),
        seconds=time.monotonic() - started,
    )


async def _ask_case(
    client: AsyncOpenAI, gate: asyncio.Semaphore, model: str, case: Case, seed: int
) -> _Asked:
    question = case.question(seed)
    clean = await _ask(client, gate, model, case.input)
    return _Asked(case, question, clean, await _ask(client, gate, model, question.text))


async def _ask(client: AsyncOpenAI, gate: asyncio.Semaphore, model: str, text: str) -> _Reply | None:
    async with gate:
        try:
            reply = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": text}], temperature=0
            )
        except OpenAIError:
            return None
    notes = (reply.model_extra or {}).get("p2p_guard") or {}
    return _Reply(reply.choices[0].message.content or "", notes.get("free_run_extended"))


def _rates(asked: list[_Asked]) -> AttackRates:
    counted = [item for item in asked if item.question.counts]
    return AttackRates(
        asr=Rate.of([item.question.succeeds(item.triggered.answer) for item in counted if item.triggered]),
        floor=Rate.of([item.question.succeeds(item.clean.answer) for item in counted if item.clean]),
        extension_rate=Rate.of(
            [
                item.triggered.extended
                for item in asked
                if item.triggered and item.triggered.extended is not None
            ]
        ),
    )
