"""From a client's body to one neutral request, or a refusal. What could step round the stamp ends here."""

import json
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

import orjson
from pydantic import ValidationError

from guard_server.errors import BadRequestError
from guard_server.schemas import Body, ChatBody, CompletionBody, Message
from guard_server.settings import Limits
from p2p.prompts import ChatMessage

BodyT = TypeVar("BodyT", bound=Body)
_COMPLETION_TOKENS = 16
_ROLES = {"developer": "system"}
_REASONS = {
    "logit_bias": "a bias could lift a label out of the half that the guard holds the engine to",
    "echo": "an echo would show the stamp",
    "prompt_logprobs": "they would show the stamp",
    "chat_template": "the adapter's prompt template is part of the defence",
    "continue_final_message": "the answer must begin with the model's own words",
    "tools": "tool calls can't be projected yet",
    "response_format": "structured output can't be projected yet",
}


class Shape(StrEnum):
    """The API shape that the client speaks."""

    CHAT = "chat"
    COMPLETIONS = "completions"


class GuardRequest(NamedTuple):
    """What a client asks, whatever endpoint it used.

    Attributes:
        shape: How the answer is written.
        model: The adapter's public name.
        messages: The conversation; a completion's prompt is one user message.
        n: How many answers.
        max_tokens: Answer tokens; None where the client names none and the route has no default.
        temperature: Sampling temperature, None for the engine's default.
        stop: Stop strings, which apply to the answer.
        sampling: Further sampling parameters, as the engine takes them.
        logprobs: Whether token log-probabilities are wanted.
        top_logprobs: How many alternatives.
        stream: Whether the answer comes in chunks.
        include_usage: Whether a stream ends in a usage chunk.
        is_probe: Whether a prober asks. The guard alone sets it, never a client's body.
    """

    shape: Shape
    model: str
    messages: tuple[ChatMessage, ...]
    n: int
    max_tokens: int | None
    temperature: float | None
    stop: tuple[str, ...]
    sampling: dict[str, Any]
    logprobs: bool
    top_logprobs: int
    stream: bool
    include_usage: bool
    is_probe: bool = False


def parse_chat(content: bytes, limits: Limits) -> GuardRequest:
    """Read a chat request.

    Raises:
        BadRequestError: It is not JSON, or has a parameter that is unknown, out of range or refused.
    """
    body = _validate(ChatBody, content)
    if body.max_tokens and body.max_completion_tokens:
        raise BadRequestError("give max_tokens or max_completion_tokens, not both", "max_completion_tokens")
    messages = tuple(
        ChatMessage(role=_ROLES.get(turn.role, turn.role), content=turn.text) for turn in body.messages
    )
    _require_answerable(body.messages, limits)
    asked = GuardRequest(
        Shape.CHAT,
        logprobs=bool(body.logprobs),
        top_logprobs=body.top_logprobs or 0,
        messages=messages,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        **_common(body),
    )
    return _within(asked, limits)


def parse_completion(content: bytes, limits: Limits) -> GuardRequest:
    """Read a completion request; its prompt is one text.

    Raises:
        BadRequestError: It is not JSON, or has a parameter that is unknown, out of range or refused.
    """
    body = _validate(CompletionBody, content)
    asked = GuardRequest(
        Shape.COMPLETIONS,
        # OpenAI's own default of this route.
        max_tokens=body.max_tokens or _COMPLETION_TOKENS,
        logprobs=body.logprobs is not None,
        top_logprobs=body.logprobs or 0,
        messages=(ChatMessage(role="user", content=body.prompt),),
        **_common(body),
    )
    return _within(asked, limits)


def _common(body: Body) -> dict[str, Any]:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    names = ("top_p", "seed", "presence_penalty", "frequency_penalty")
    return {
        "model": body.model,
        "n": body.n or 1,
        "temperature": body.temperature,
        "stop": stop,
        "sampling": {name: value for name in names if (value := getattr(body, name)) is not None},
        "stream": body.stream,
        "include_usage": bool(body.stream_options and body.stream_options.include_usage),
    }


def _require_answerable(messages: list[Message], limits: Limits) -> None:
    if len(messages) > limits.messages:
        raise BadRequestError(f"at most {limits.messages} messages are taken", "messages")
    if messages[-1].role != "user":
        raise BadRequestError(
            "the last message must be the user's: only that is stamped and answered", "messages"
        )


def _within(asked: GuardRequest, limits: Limits) -> GuardRequest:
    if asked.n > limits.n:
        raise BadRequestError(f"n may be at most {limits.n}", "n")
    if (asked.max_tokens or 0) > limits.max_tokens:
        raise BadRequestError(f"max_tokens may be at most {limits.max_tokens}", "max_tokens")
    if any(not text for text in asked.stop) or len(asked.stop) > 4:
        raise BadRequestError("stop takes at most four texts, none of them empty", "stop")
    return asked


def _validate(model: type[BodyT], content: bytes) -> BodyT:
    try:
        # The strict reader refuses NaN, broken UTF-8 and lone surrogates, which the engine's request could not carry ...
        orjson.loads(content)
        # ... and the other one sees a key that stands twice.
        raw = json.loads(content, object_pairs_hook=_without_duplicates)
    except BadRequestError:
        raise
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(raw, dict):
        raise BadRequestError("the body must be a JSON object")
    # An explicit null means the default, as in OpenAI's API; for an unknown parameter too.
    given = {name: value for name, value in raw.items() if value is not None}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _explained(error) from None


def _explained(error: ValidationError) -> BadRequestError:
    fault = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        name = str(fault["loc"][-1])[:64]
        reason = _REASONS.get(name, "it is not on the list of parameters that keep the defence intact")
        return BadRequestError(f"the parameter {name!r} is not taken: {reason}", place[:128])
    return BadRequestError(f"{place}: {fault['msg']}"[:300], place[:128])


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadRequestError("a key stands twice in one object")
    return found
