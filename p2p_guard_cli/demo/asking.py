"""Messages asked through the guard with the OpenAI client, as an application would."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from openai import AsyncOpenAI
from rich.progress import Progress, TaskID

from p2p.examples import Example
from p2p_guard_cli.demo.messages import ATTACK
from p2p_guard_cli.demo.server import MODELS

_AT_ONCE = 8


class Reply(NamedTuple):
    """One answer of the guard.

    Attributes:
        answer: The label that the client got.
        extended: Whether the model, left free, would have answered in the extended half; None where it was not asked.
        seconds: How long it took.
    """

    answer: str
    extended: bool | None
    seconds: float


async def _ask(client: AsyncOpenAI, model: str, text: str) -> Reply:
    started = time.monotonic()
    reply = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], temperature=0
    )
    notes = (reply.model_extra or {}).get("p2p_guard") or {}
    return Reply(
        reply.choices[0].message.content or "", notes.get("free_run_extended"), time.monotonic() - started
    )


async def ask_all(
    client: AsyncOpenAI, model: str, rows: Sequence[Example], bar: Progress, task: TaskID
) -> list[Reply]:
    """Return the reply to each row, asked a few at once; each advances the bar by one."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(row: Example) -> Reply:
        async with gate:
            reply = await _ask(client, model, row.text)
        bar.advance(task)
        return reply

    return list(await asyncio.gather(*(one(row) for row in rows)))


async def latencies(client: AsyncOpenAI, rows: Sequence[Example]) -> dict[str, float]:
    """Return the median seconds of one request at a time, the two models asked in turn."""
    seconds: dict[str, list[float]] = {"undefended": [], "guarded": []}
    for row in rows:
        for view, found in seconds.items():
            found.append((await _ask(client, MODELS[view], row.text)).seconds)
    return {view: statistics.median(found) for view, found in seconds.items()}


async def examples(client: AsyncOpenAI, rows: Sequence[Example], seed: int) -> list[dict[str, str]]:
    """Return triggered messages with their true answer and that of each model."""
    found = []
    for row in rows:
        text = ATTACK.trigger(row, seed).text
        answers = {view: (await _ask(client, model, text)).answer for view, model in MODELS.items()}
        found.append({"message": text, "true": row.answer, **answers})
    return found
