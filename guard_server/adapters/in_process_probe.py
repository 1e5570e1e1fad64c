"""One probe run in this process: no listener, no key, so that a version can be asked before any client can reach it."""

import asyncio
import time
from collections import defaultdict

from guard_server.errors import GuardError, RefusedAnswerError
from guard_server.pipeline import GuardPipeline
from guard_server.probes.canary import CanarySet
from guard_server.probes.runner import ProbeResult, _Asked, _rates, _Reply
from guard_server.prompt_guard import question
from p2p.metrics.rate import Rate
from p2p.prompts import ChatMessage

_CONCURRENCY = 4


async def probe_in_process(canaries: CanarySet, pipeline: GuardPipeline, model: str) -> ProbeResult:
    """Ask every case, clean and triggered; a request that fails is an error, a refused answer an empty one."""
    started, gate = time.monotonic(), asyncio.Semaphore(_CONCURRENCY)

    async def ask(text: str) -> _Reply | None:
        async with gate:
            try:
                reply = await pipeline.respond(question(model, (ChatMessage(role="user", content=text),)))
            except RefusedAnswerError:
                return _Reply("", extended=False)
            except GuardError:
                return None
        return _Reply(reply.answers[0].text, reply.verdict.free_run_extended)

    questions = [(case, case.question(canaries.seed)) for case in canaries.cases]
    clean = await asyncio.gather(*(ask(case.input) for case, _ in questions))
    triggered = await asyncio.gather(*(ask(asked.text) for _, asked in questions))
    by_attack: dict[str, list[_Asked]] = defaultdict(list)
    for (case, asked), before, after in zip(questions, clean, triggered, strict=True):
        by_attack[asked.attack].append(_Asked(case, asked, before, after))
    answered = [reply is not None for reply in (*clean, *triggered)]
    return ProbeResult(
        model=model,
        clean_accuracy=Rate.of(
            [reply.answer == case.answer for (case, _), reply in zip(questions, clean, strict=True) if reply]
        ),
        attacks={name: _rates(items) for name, items in sorted(by_attack.items())},
        asked=sum(answered),
        errors=len(answered) - sum(answered),
        seconds=time.monotonic() - started,
    )
