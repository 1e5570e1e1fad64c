"""Answers that are labels: the engine is held to the extended half, and its log-probabilities are projected."""

import time

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Answer, Outcome, Reply, Usage, Verdict
from guard_server.asking import EngineRequest, engine_request
from guard_server.engine.base import Endpoint, Engine, Payload
from guard_server.errors import BadRequestError, EngineUnavailableError
from guard_server.escapes import refuse_escapes
from guard_server.prompt_guard import GuardRequest
from p2p.projection import project_logprobs
from p2p.tasks import ClassificationTask


async def classify(
    engine: Engine, adapter: LoadedAdapter, task: ClassificationTask, request: GuardRequest
) -> Reply:
    """Return the label of each choice.

    Without a temperature the most likely label is taken; with one, it is drawn among the extended labels.

    Raises:
        GuardError: The request can't be served, the engine failed, or the answer was refused.
    """
    if request.stop:
        raise BadRequestError("stop has no meaning for a label", "stop")
    asked = _held(adapter, task, request)
    started = time.perf_counter()
    whole = await engine.complete(*asked)
    seconds = time.perf_counter() - started
    try:
        choices = sorted(whole["choices"], key=lambda choice: choice["index"])
        answers = tuple(_label(adapter, task, asked.endpoint, choice) for choice in choices)
        usage = Usage(whole["usage"]["prompt_tokens"], len(answers))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineUnavailableError("the engine's answer lacks the labels' log-probabilities") from error
    refuse_escapes(adapter, (answer.verdict for answer in answers))
    return Reply(answers, usage, seconds)


def _held(adapter: LoadedAdapter, task: ClassificationTask, request: GuardRequest) -> EngineRequest:
    """Return a request for one token out of the allowed ones, with the log-probabilities of all 2n."""
    asked = engine_request(adapter, request).having(
        max_tokens=1,
        temperature=request.temperature or 0,
        allowed_token_ids=list(_allowed(adapter, task)),
        logprob_token_ids=list(task.token_ids),
        return_tokens_as_token_ids=True,
    )
    if asked.endpoint is Endpoint.CHAT:
        return asked.having(logprobs=True, top_logprobs=0)
    return asked.having(logprobs=1)


def _allowed(adapter: LoadedAdapter, task: ClassificationTask) -> tuple[int, ...]:
    if not adapter.unguarded:
        return task.extended_token_ids
    return task.token_ids if adapter.manifest.defence == "p2p" else task.token_ids[: len(task.labels)]


def _label(adapter: LoadedAdapter, task: ClassificationTask, endpoint: Endpoint, choice: Payload) -> Answer:
    token, logprobs = _token_and_logprobs(endpoint, choice)
    label, space = task.token_ids.index(token), task.space
    free = max(task.token_ids, key=lambda known: logprobs[known])
    outcome = Outcome.PROJECTED if space.is_extended(label) else Outcome.ESCAPED
    return Answer(
        text=space.names[space.project(label)],
        finish_reason="stop",
        verdict=Verdict(
            Outcome.UNGUARDED if adapter.unguarded else outcome,
            free in task.extended_token_ids if adapter.manifest.defence == "p2p" else None,
        ),
        logprobs=None if adapter.unguarded else project_logprobs(task, logprobs),
    )


def _token_and_logprobs(endpoint: Endpoint, choice: Payload) -> tuple[int, dict[int, float]]:
    """Return the sampled token and the log-probabilities by token id, from before the engine was held to some."""
    said = choice["logprobs"]
    if endpoint is Endpoint.CHAT:
        entry = said["content"][0]
        token, named = entry["token"], {found["token"]: found["logprob"] for found in entry["top_logprobs"]}
    else:
        token, named = said["tokens"][0], said["top_logprobs"][0]
    return _token_id(token), {_token_id(name): value for name, value in named.items()}


def _token_id(name: str) -> int:
    return int(name.removeprefix("token_id:"))
