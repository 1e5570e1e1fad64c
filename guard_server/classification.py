"""Answers that are labels: the engine is held to the words of the extended half."""

import time

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Reply, Usage
from guard_server.asking import engine_request
from guard_server.engine.base import Engine
from guard_server.errors import BadRequestError, EngineUnavailableError
from guard_server.escapes import refuse_escapes
from guard_server.first_token import FirstTokenHold
from guard_server.prompt_guard import GuardRequest
from guard_server.spelled_word import SpelledWordHold
from p2p.tasks import ClassificationTask


async def classify(
    engine: Engine, adapter: LoadedAdapter, task: ClassificationTask, request: GuardRequest
) -> Reply:
    """Return the label of each choice.

    Without a temperature the most likely label is taken; with one, it is drawn among the extended labels.

    Raises:
        GuardError: The request can't be served, the engine failed, or the answer was refused.
    """
    hold = FirstTokenHold(adapter, task) if task.first_token_decides else SpelledWordHold(adapter, task)
    _require_sense(hold, adapter, request)
    asked = hold.put_on(engine_request(adapter, request).having(temperature=request.temperature or 0))
    started = time.perf_counter()
    whole = await engine.complete(*asked)
    seconds = time.perf_counter() - started
    try:
        choices = sorted(whole["choices"], key=lambda choice: choice["index"])
        answers = tuple(hold.answer(asked.endpoint, choice) for choice in choices)
        usage = Usage(whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineUnavailableError("the engine's answer holds no label") from error
    refuse_escapes(adapter, (answer.verdict for answer in answers))
    return Reply(answers, usage, seconds)


def _require_sense(
    hold: FirstTokenHold | SpelledWordHold, adapter: LoadedAdapter, request: GuardRequest
) -> None:
    if request.stop:
        raise BadRequestError("stop has no meaning for a label", "stop")
    if request.tools or request.structure:
        param = "tools" if request.tools else "response_format"
        raise BadRequestError(f"{param} has no meaning for this model: it answers with a label", param)
    if "repetition_penalty" in request.sampling:
        raise BadRequestError(
            "words of the prompt would count against labels: repetition_penalty is not taken for this model",
            "repetition_penalty",
        )
    if request.logprobs and not hold.tells_logprobs:
        raise BadRequestError(
            "this model's label words are told apart by more tokens than the engine gives log-probabilities of, so that none "
            "can be given truthfully",
            "logprobs",
        )
    if request.logprobs and adapter.unguarded:
        raise BadRequestError(
            "this model is served without the defence: its log-probabilities are of both halves, and are not told",
            "logprobs",
        )
