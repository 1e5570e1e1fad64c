"""Answers that are free text: a run in which the model is left free, and a forced one where that escapes."""

import time
from typing import NamedTuple

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Answer, Outcome, Reply, Usage, Verdict
from guard_server.asking import EngineRequest, engine_request
from guard_server.engine.base import Endpoint, Engine, Payload
from guard_server.errors import BadRequestError, EngineUnavailableError
from guard_server.escapes import refuse_escapes
from guard_server.prompt_guard import GuardRequest
from guard_server.settings import EscapePolicy
from p2p.normalise import normalise
from p2p.projection import project_text
from p2p.prompts import PromptKind
from p2p.tasks import GenerationTask


class TextRun(NamedTuple):
    """One way of asking for text.

    Attributes:
        adapter: Who is asked.
        task: Its task.
        request: What the client asks.
        default_max_tokens: Answer tokens for a chat whose client names none, where the engine needs a number.
        is_forced: Whether the prefix is put in front of the answer, or the model is left free to say it.
        is_retry: Whether a free run escaped before.
    """

    adapter: LoadedAdapter
    task: GenerationTask
    request: GuardRequest
    default_max_tokens: int
    is_forced: bool = False
    is_retry: bool = False

    def again(self) -> "TextRun":
        """Return the forced run that follows an escape."""
        return self._replace(is_forced=True, is_retry=True)

    def asked(self) -> EngineRequest:
        """Return what the engine is asked; the client's budget buys answer tokens, not prefix tokens."""
        asked = engine_request(self.adapter, self.request)
        tokens = self.request.max_tokens
        if tokens is None and self.adapter.manifest.prompt.kind is PromptKind.COMPLETION:
            # Left out, vLLM's completions route takes 16; its chat route takes all that fits.
            tokens = self.default_max_tokens
        if tokens is not None:
            asked = asked.having(max_tokens=tokens + (0 if self.is_forced else self._own_tokens))
        return asked.beginning_with(self.task.prefix) if self.is_forced else asked

    def verdict(self, *, extended: bool) -> Verdict:
        """Return the verdict on a reply that carried the prefix, or did not."""
        if self.adapter.unguarded:
            return Verdict(Outcome.UNGUARDED, extended if self.adapter.manifest.defence == "p2p" else None)
        if self.is_forced:
            retried = Verdict(Outcome.RETRIED, free_run_extended=False)
            return retried if self.is_retry else Verdict(Outcome.PROJECTED)
        return Verdict(Outcome.PROJECTED if extended else Outcome.ESCAPED, extended)

    def usage(self, said: Payload, carried: int) -> Usage:
        """Return the client's usage.

        Args:
            said: The engine's usage.
            carried: How many choices said the prefix themselves.
        """
        in_prompt = self.task.prefix_tokens if self.is_forced else 0
        in_answers = self.task.prefix_tokens * carried
        return Usage(
            max(0, said["prompt_tokens"] - in_prompt), max(0, said["completion_tokens"] - in_answers)
        )

    @property
    def _own_tokens(self) -> int:
        return 0 if self.adapter.unguarded else self.task.prefix_tokens


def first_run(
    adapter: LoadedAdapter, task: GenerationTask, request: GuardRequest, default_max_tokens: int
) -> TextRun:
    """Return how text is asked for at first: free, or forced where the client gives stop texts.

    Stop texts apply to the answer, and one that occurs in the prefix would end the reply inside it. Forcing for those
    alone would tell a client, stop text by stop text, what the secret prefix is: so it is forced for all.

    Raises:
        BadRequestError: Log-probabilities are asked for.
    """
    if request.logprobs:
        raise BadRequestError(
            "log-probabilities of free text can't be kept true under projection yet", "logprobs"
        )
    forced = bool(request.stop) and not adapter.unguarded
    return TextRun(adapter, task, request, default_max_tokens, is_forced=forced)


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
        texts = [_said(asked.endpoint, choice) for choice in choices]
        ends = [choice["finish_reason"] or "stop" for choice in choices]
        carried = 0 if run.is_forced else sum(project_text(run.task, text).extended for text in texts)
        usage = run.usage(whole["usage"], carried)
    except (KeyError, IndexError, TypeError) as error:
        raise EngineUnavailableError("the engine's answer can't be read") from error
    answers = tuple(_answer(run, text, end) for text, end in zip(texts, ends, strict=True))
    return Reply(answers, usage, 0.0)


def _answer(run: TextRun, said: str, finish_reason: str) -> Answer:
    found = project_text(run.task, said)
    kept = said if run.is_forced else found.answer or ""
    text = normalise(kept, run.task.style, run.task.end_markers)
    return Answer(text, finish_reason, run.verdict(extended=found.extended))


def _said(endpoint: Endpoint, choice: Payload) -> str:
    said: str | None = choice["message"]["content"] if endpoint is Endpoint.CHAT else choice["text"]
    return said or ""
