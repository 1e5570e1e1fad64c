"""Answers that are free text: a first run, and a forced one where that escapes."""

import time

from guard_server.answers import Answer, Outcome, Reply
from guard_server.engine.base import Endpoint, Engine, Payload
from guard_server.errors import EngineUnavailableError
from guard_server.escapes import refuse_escapes
from guard_server.lanes import Lane, whole_answer
from guard_server.settings import EscapePolicy
from guard_server.text_run import TextRun
from guard_server.token_logprobs import read_tokens


async def generate(engine: Engine, run: TextRun) -> Reply:
    """Return the text of each choice.

    When one of several choices escapes and the policy is to retry, all of them are taken from the forced run.

    Raises:
        GuardError: The request can't be served, the engine failed, or the answer was refused.
    """
    started = time.perf_counter()
    reply = await _ask(engine, run)
    escaped = reply.verdict.outcome is Outcome.ESCAPED
    if escaped and run.adapter.escape_policy is EscapePolicy.RETRY:
        reply = await _ask(engine, run.again())
    refuse_escapes(run.adapter, (answer.verdict for answer in reply.answers))
    return reply._replace(engine_seconds=time.perf_counter() - started)


async def _ask(engine: Engine, run: TextRun) -> Reply:
    asked = run.asked()
    whole = await engine.complete(*asked)
    try:
        choices = sorted(whole["choices"], key=lambda choice: choice["index"])
        lanes = [Lane(run, at) for at in range(len(choices))]
        answers = tuple(
            _answer(run, asked.endpoint, lane, choice) for lane, choice in zip(lanes, choices, strict=True)
        )
        usage = run.usage(whole["usage"], sum(lane.said_prefix for lane in lanes))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineUnavailableError("the engine's answer can't be read") from error
    return Reply(answers, usage, 0.0)


def _answer(run: TextRun, endpoint: Endpoint, lane: Lane, choice: Payload) -> Answer:
    said = choice["message"]["content"] if endpoint is Endpoint.CHAT else choice["text"]
    tokens = read_tokens(endpoint, choice) if run.request.logprobs else ()
    return whole_answer(lane, run, said or "", tokens, choice["finish_reason"] or "stop")
