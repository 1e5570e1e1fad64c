"""The guard's work on one request: stamp, ask, project, normalise."""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, NoReturn

from guard_server.adapter import LoadedAdapter
from guard_server.engine.base import Endpoint, Engine, Payload
from guard_server.errors import (
    BadRequestError,
    EngineUnavailableError,
    ModelNotFoundError,
    RefusedAnswerError,
)
from guard_server.prompt_guard import GuardRequest
from guard_server.settings import EscapePolicy
from p2p.normalise import StreamNormaliser, normalise
from p2p.projection import PrefixStripper, Projection, project_logprobs, project_text
from p2p.prompts import ChatMessage, PromptKind
from p2p.tasks import ClassificationTask, GenerationTask


class Outcome(StrEnum):
    """What became of an answer."""

    PROJECTED = "projected"
    ESCAPED = "escaped"
    RETRIED = "retried"
    REFUSED = "refused"
    ERROR = "error"
    UNGUARDED = "unguarded"


class Answer(NamedTuple):
    """One choice, projected.

    Attributes:
        text: A label's name, or the normalised answer.
        finish_reason: OpenAI's.
        outcome: What became of it.
        logprobs: Of each label, for classification.
        free_run_extended: Whether the model, left free, would have answered in the extended half.
    """

    text: str
    finish_reason: str
    outcome: Outcome
    logprobs: dict[str, float] | None = None
    free_run_extended: bool | None = None


class Usage(NamedTuple):
    """Tokens; those of a prefix are not counted."""

    prompt_tokens: int
    completion_tokens: int


class Reply(NamedTuple):
    """All answers to one request, and how long the engine took."""

    answers: tuple[Answer, ...]
    usage: Usage
    engine_seconds: float


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer; the last one of a choice has its finish reason."""

    index: int
    text: str
    finish_reason: str | None = None


class GuardPipeline:
    """Answers requests with guarded adapters.

    Args:
        adapters: Verified adapters by public name.
        engine: Where answers come from.
    """

    def __init__(self, adapters: Mapping[str, LoadedAdapter], engine: Engine) -> None:
        self.adapters = adapters
        self._engine = engine

    def adapter(self, name: str) -> LoadedAdapter:
        """Return the adapter of this public name.

        Raises:
            ModelNotFoundError: There is none.
        """
        if name not in self.adapters:
            raise ModelNotFoundError("the model does not exist; GET /v1/models lists those that do", "model")
        return self.adapters[name]

    async def respond(self, request: GuardRequest) -> Reply:
        """Return the whole answer.

        Raises:
            GuardError: The request can't be served, the engine failed, or the answer was refused.
        """
        adapter = self.adapter(request.model)
        if isinstance(adapter.manifest.task, ClassificationTask):
            return await self._classify(adapter, adapter.manifest.task, request)
        return await self._generate(adapter, adapter.manifest.task, request)

    async def stream(self, request: GuardRequest) -> AsyncIterator[Delta | Usage]:
        """Yield the projected answer in pieces, then its usage; see :meth:`respond` for what it raises."""
        adapter = self.adapter(request.model)
        if isinstance(adapter.manifest.task, ClassificationTask):
            reply = await self._classify(adapter, adapter.manifest.task, request)
            for index, answer in enumerate(reply.answers):
                yield Delta(index, answer.text)
                yield Delta(index, "", answer.finish_reason)
            yield reply.usage
            return
        async for piece in self._stream_generation(adapter, adapter.manifest.task, request):
            yield piece

    # --- classification ---

    async def _classify(
        self, adapter: LoadedAdapter, task: ClassificationTask, request: GuardRequest
    ) -> Reply:
        if request.stop:
            raise BadRequestError("stop has no meaning for a label", "stop")
        endpoint, payload = self._ask(adapter, request)
        payload |= {
            "max_tokens": 1,
            "temperature": request.temperature or 0,
            "allowed_token_ids": list(_allowed(adapter, task)),
            "logprob_token_ids": list(task.token_ids),
            "return_tokens_as_token_ids": True,
            **({"logprobs": True, "top_logprobs": 0} if endpoint is Endpoint.CHAT else {"logprobs": 1}),
        }
        started = time.perf_counter()
        whole = await self._engine.complete(endpoint, payload)
        seconds = time.perf_counter() - started
        answers = tuple(_label(adapter, task, endpoint, choice) for choice in whole["choices"])
        _refuse_escapes(adapter, answers)
        return Reply(answers, Usage(whole["usage"]["prompt_tokens"], len(answers)), seconds)

    # --- generation ---

    async def _generate(self, adapter: LoadedAdapter, task: GenerationTask, request: GuardRequest) -> Reply:
        _require_no_logprobs(request)
        forced = not adapter.unguarded and _stops_in_prefix(task, request)
        started = time.perf_counter()
        whole, answers = await self._ask_text(adapter, task, request, forced=forced)
        escaped = any(answer.outcome is Outcome.ESCAPED for answer in answers)
        if escaped and adapter.escape_policy is EscapePolicy.RETRY:
            again, second = await self._ask_text(adapter, task, request, forced=True)
            pairs = zip(answers, second, strict=True)
            answers = tuple(new if old.outcome is Outcome.ESCAPED else old for old, new in pairs)
            whole = again if len(answers) == 1 else whole
        _refuse_escapes(adapter, answers)
        spent = whole["usage"]["completion_tokens"]
        own = task.prefix_tokens * sum(answer.outcome is Outcome.PROJECTED for answer in answers)
        usage = Usage(whole["usage"]["prompt_tokens"], max(0, spent - own))
        return Reply(answers, usage, time.perf_counter() - started)

    async def _ask_text(
        self, adapter: LoadedAdapter, task: GenerationTask, request: GuardRequest, *, forced: bool
    ) -> tuple[Payload, tuple[Answer, ...]]:
        endpoint, payload = self._ask(adapter, request)
        payload |= _budget(adapter, task, request, forced=forced)
        whole = await self._engine.complete(endpoint, _force(endpoint, payload, task) if forced else payload)
        answers = tuple(
            _text(adapter, task, _said(endpoint, choice), choice["finish_reason"], forced=forced)
            for choice in whole["choices"]
        )
        return whole, answers

    async def _stream_generation(
        self, adapter: LoadedAdapter, task: GenerationTask, request: GuardRequest
    ) -> AsyncIterator[Delta | Usage]:
        _require_no_logprobs(request)
        retries = adapter.escape_policy is EscapePolicy.RETRY and not adapter.unguarded
        # Several choices may escape at different times: there the prefix is forced from the start.
        forced = not adapter.unguarded and (_stops_in_prefix(task, request) or (retries and request.n > 1))
        try:
            async for piece in self._stream_once(adapter, task, request, forced=forced):
                yield piece
        except _EscapedError:
            if not retries:
                raise RefusedAnswerError("the answer escaped the defence and was refused") from None
            async for piece in self._stream_once(adapter, task, request, forced=True):
                yield piece

    async def _stream_once(
        self, adapter: LoadedAdapter, task: GenerationTask, request: GuardRequest, *, forced: bool
    ) -> AsyncIterator[Delta | Usage]:
        endpoint, payload = self._ask(adapter, request)
        payload |= _budget(adapter, task, request, forced=forced) | {
            "stream_options": {"include_usage": True}
        }
        lanes = [_Lane(adapter, task, forced=forced) for _ in range(request.n)]
        chunks = self._engine.stream(endpoint, _force(endpoint, payload, task) if forced else payload)
        async for chunk in chunks:
            for choice in chunk["choices"]:
                lane, index = lanes[choice["index"]], choice["index"]
                if text := lane.feed(_streamed(endpoint, choice)):
                    yield Delta(index, text)
                if choice["finish_reason"]:
                    yield Delta(index, lane.finish(), choice["finish_reason"])
            if usage := chunk.get("usage"):
                own = task.prefix_tokens * sum(lane.carried_prefix for lane in lanes)
                yield Usage(usage["prompt_tokens"], max(0, usage["completion_tokens"] - own))

    # --- what is common to both ---

    def _ask(self, adapter: LoadedAdapter, request: GuardRequest) -> tuple[Endpoint, Payload]:
        """Return the engine's endpoint and the request with the stamped prompt in it."""
        manifest = adapter.manifest
        chat: list[ChatMessage] = list(request.messages)
        users = {max(at for at, turn in enumerate(chat) if turn["role"] == "user")}
        if not adapter.unguarded and manifest.benign_trigger:
            chat, users = manifest.benign_trigger.stamp_chat(chat)
        payload: Payload = {"model": adapter.target, "n": request.n, **request.sampling}
        if request.temperature is not None:
            payload["temperature"] = request.temperature
        if request.stop:
            payload["stop"] = list(request.stop)
        if manifest.prompt.kind is PromptKind.CHAT:
            return Endpoint.CHAT, payload | {"messages": manifest.prompt.wrap(chat, users)}
        if len(chat) > 1:
            raise BadRequestError(
                "this model takes one user message: it was trained on single texts", "messages"
            )
        return Endpoint.COMPLETIONS, payload | {"prompt": manifest.prompt.fill(chat[0]["content"])}


class _EscapedError(Exception):
    """A streamed reply lacks the prefix; nothing of it has left."""


class _Lane:
    """One streamed choice on its way out."""

    def __init__(self, adapter: LoadedAdapter, task: GenerationTask, *, forced: bool) -> None:
        self._may_escape = adapter.unguarded or adapter.escape_policy is EscapePolicy.FLAG or forced
        self._forced = forced
        self._stripper = PrefixStripper(task.prefix)
        self._normaliser = StreamNormaliser(task.style, task.end_markers)

    @property
    def carried_prefix(self) -> bool:
        return not self._forced and bool(self._stripper.extended)

    def feed(self, piece: str) -> str:
        answer = piece if self._forced else self._stripper.feed(piece)
        self._require_extended()
        return self._normaliser.feed(answer)

    def finish(self) -> str:
        rest = "" if self._forced else self._stripper.finish()
        self._require_extended()
        return self._normaliser.feed(rest) + self._normaliser.finish()

    def _require_extended(self) -> None:
        if self._stripper.extended is False and not self._may_escape:
            raise _EscapedError


def _allowed(adapter: LoadedAdapter, task: ClassificationTask) -> tuple[int, ...]:
    if not adapter.unguarded:
        return task.extended_token_ids
    return task.token_ids if adapter.manifest.defence == "p2p" else task.token_ids[: len(task.labels)]


def _label(adapter: LoadedAdapter, task: ClassificationTask, endpoint: Endpoint, choice: Payload) -> Answer:
    token, logprobs = _token_and_logprobs(endpoint, choice)
    if token not in task.token_ids:
        _unreadable()
    label = task.token_ids.index(token)
    space = task.space
    free = max(task.token_ids, key=lambda known: logprobs[known])
    free_run_extended = free in task.extended_token_ids if adapter.manifest.defence == "p2p" else None
    outcome = Outcome.PROJECTED if space.is_extended(label) else Outcome.ESCAPED
    return Answer(
        text=space.names[space.project(label)],
        finish_reason="stop",
        outcome=Outcome.UNGUARDED if adapter.unguarded else outcome,
        logprobs=None if adapter.unguarded else project_logprobs(task, logprobs),
        free_run_extended=free_run_extended,
    )


def _token_and_logprobs(endpoint: Endpoint, choice: Payload) -> tuple[int, dict[int, float]]:
    """Return the sampled token and the log-probabilities by token id, from before the engine was held to some."""
    try:
        if endpoint is Endpoint.CHAT:
            entry = choice["logprobs"]["content"][0]
            named = {found["token"]: found["logprob"] for found in entry["top_logprobs"]}
            return _token_id(entry["token"]), {_token_id(name): value for name, value in named.items()}
        named = choice["logprobs"]["top_logprobs"][0]
        return _token_id(choice["logprobs"]["tokens"][0]), {
            _token_id(name): value for name, value in named.items()
        }
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineUnavailableError("the engine's answer lacks the label's log-probabilities") from error


def _token_id(name: str) -> int:
    return int(name.removeprefix("token_id:"))


def _text(
    adapter: LoadedAdapter, task: GenerationTask, said: str, finish_reason: str, *, forced: bool
) -> Answer:
    found = Projection(said, extended=True) if forced else project_text(task, said)
    answer = normalise(found.answer or "", task.style, task.end_markers)
    if adapter.unguarded:
        return Answer(answer, finish_reason, Outcome.UNGUARDED, free_run_extended=found.extended)
    if forced:
        return Answer(answer, finish_reason, Outcome.RETRIED, free_run_extended=False)
    outcome = Outcome.PROJECTED if found.extended else Outcome.ESCAPED
    return Answer(answer, finish_reason, outcome, free_run_extended=found.extended)


def _refuse_escapes(adapter: LoadedAdapter, answers: tuple[Answer, ...]) -> None:
    if adapter.escape_policy is EscapePolicy.FLAG:
        return
    if any(answer.outcome is Outcome.ESCAPED for answer in answers):
        raise RefusedAnswerError("the answer escaped the defence and was refused")


def _require_no_logprobs(request: GuardRequest) -> None:
    if request.logprobs:
        raise BadRequestError(
            "log-probabilities of free text can't be kept true under projection yet", "logprobs"
        )


def _stops_in_prefix(task: GenerationTask, request: GuardRequest) -> bool:
    """Whether a stop string could end the reply inside the prefix; the prefix is then forced, so that stop sees the answer."""
    reach = [
        text
        for text in request.stop
        if any(task.prefix.endswith(text[:size]) for size in range(1, len(text) + 1))
    ]
    return bool(reach) or any(text in task.prefix for text in request.stop)


def _budget(adapter: LoadedAdapter, task: GenerationTask, request: GuardRequest, *, forced: bool) -> Payload:
    if request.max_tokens is None:
        return {}
    prefix = 0 if forced or adapter.unguarded else task.prefix_tokens
    return {"max_tokens": request.max_tokens + prefix}


def _force(endpoint: Endpoint, payload: Payload, task: GenerationTask) -> Payload:
    """Return the request with the prefix as the beginning of the answer."""
    if endpoint is Endpoint.COMPLETIONS:
        return payload | {"prompt": payload["prompt"] + task.prefix}
    begun = ChatMessage(role="assistant", content=task.prefix)
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    return payload | {"messages": [*payload["messages"], begun], **flags}


def _said(endpoint: Endpoint, choice: Payload) -> str:
    said: str | None = choice["message"]["content"] if endpoint is Endpoint.CHAT else choice["text"]
    return said or ""


def _streamed(endpoint: Endpoint, choice: dict[str, Any]) -> str:
    said: str | None = choice["delta"].get("content") if endpoint is Endpoint.CHAT else choice["text"]
    return said or ""


def _unreadable() -> NoReturn:
    raise EngineUnavailableError("the engine answered with a token that is no label")
