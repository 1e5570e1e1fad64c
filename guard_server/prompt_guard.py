"""From a client's body to one neutral request, or a refusal. What could step round the stamp ends here."""

from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from guard_server.bodies import read_body
from guard_server.engine.base import Payload
from guard_server.errors import BadRequestError
from guard_server.schemas import Body, ChatBody, CheckBody, CompletionBody, Message, ResponseFormat
from guard_server.settings import Limits
from guard_server.tools import ToolUse, as_chat, tools_of
from p2p.prompts import ChatMessage

_SAMPLING = (
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "top_k",
    "min_p",
    "repetition_penalty",
)
_COMPLETION_TOKENS = 16
_MOST_SCHEMA_BYTES = 32_768


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
        user: The client's own id of its user, which the engine is told.
        tools: Functions that may, or must, be called.
        structure: What the answer is to keep to, as vLLM's ``structured_outputs``.
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
    user: str | None = None
    tools: ToolUse | None = None
    structure: Payload | None = None
    is_probe: bool = False

    @property
    def own_text(self) -> str:
        """Everything that the client wrote and a model could repeat."""
        functions = self.tools.functions if self.tools else ()
        said = [message["content"] for message in self.messages]
        shown = [function.model_dump_json() for function in functions]
        return "\n".join(
            [*said, *shown, *([orjson.dumps(self.structure).decode()] if self.structure else [])]
        )

    @property
    def is_held(self) -> bool:
        """Whether the engine is to keep to a grammar."""
        return self.tools is not None or self.structure is not None


def parse_chat(content: bytes, limits: Limits) -> GuardRequest:
    """Read a chat request.

    Raises:
        BadRequestError: It is not JSON, or has a parameter that is unknown, out of range or refused.
    """
    body = read_body(ChatBody, content)
    if body.max_tokens and body.max_completion_tokens:
        raise BadRequestError("give max_tokens or max_completion_tokens, not both", "max_completion_tokens")
    if body.top_logprobs is not None and not body.logprobs:
        raise BadRequestError("top_logprobs needs logprobs", "top_logprobs")
    messages = _chat(body.messages, limits)
    asked = GuardRequest(
        Shape.CHAT,
        logprobs=bool(body.logprobs),
        top_logprobs=body.top_logprobs or 0,
        messages=messages,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        tools=tools_of(body),
        structure=_structure(body.response_format),
        **_common(body),
    )
    _require_one_grammar(asked)
    return _within(asked, limits)


def parse_completion(content: bytes, limits: Limits) -> GuardRequest:
    """Read a completion request; its prompt is one text, or a list of one.

    Raises:
        BadRequestError: It is not JSON, or has a parameter that is unknown, out of range or refused.
    """
    body = read_body(CompletionBody, content)
    asked = GuardRequest(
        Shape.COMPLETIONS,
        # OpenAI's own default of this route.
        max_tokens=body.max_tokens or _COMPLETION_TOKENS,
        logprobs=body.logprobs is not None,
        top_logprobs=body.logprobs or 0,
        messages=(_prompt(body.prompt),),
        **_common(body),
    )
    return _within(asked, limits)


def parse_check(content: bytes, limits: Limits) -> GuardRequest:
    """Read what is to be asked in both views: a chat, or a prompt.

    Raises:
        BadRequestError: It is not JSON, has a parameter that is unknown, or is not one of the two.
    """
    body = read_body(CheckBody, content)
    if (body.messages is None) == (body.prompt is None):
        raise BadRequestError("give messages or prompt, and not both", "messages")
    messages = _chat(body.messages, limits) if body.messages else (_prompt(body.prompt or ""),)
    return question(body.model, messages)


def question(model: str, messages: tuple[ChatMessage, ...], max_tokens: int | None = None) -> GuardRequest:
    """Return a request of the guard's own: one answer, the most likely one."""
    return GuardRequest(
        shape=Shape.CHAT,
        model=model,
        messages=messages,
        n=1,
        max_tokens=max_tokens,
        temperature=0,
        stop=(),
        sampling={},
        logprobs=False,
        top_logprobs=0,
        stream=False,
        include_usage=False,
    )


def _common(body: Body) -> dict[str, Any]:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    if body.stream_options and not body.stream:
        raise BadRequestError("stream_options is for streams", "stream_options")
    return {
        "model": body.model,
        "n": body.n or 1,
        "temperature": body.temperature,
        "stop": stop,
        "sampling": {name: value for name in _SAMPLING if (value := getattr(body, name)) is not None},
        "stream": body.stream,
        "include_usage": bool(body.stream_options and body.stream_options.include_usage),
        "user": body.user,
    }


def _chat(messages: list[Message], limits: Limits) -> tuple[ChatMessage, ...]:
    if len(messages) > limits.messages:
        raise BadRequestError(f"at most {limits.messages} messages are taken", "messages")
    if messages[-1].role not in {"user", "tool"}:
        raise BadRequestError(
            "the last message must be the user's or a tool's: only that is stamped and answered", "messages"
        )
    return as_chat(messages)


def _prompt(given: str | list[str]) -> ChatMessage:
    return ChatMessage(role="user", content=given if isinstance(given, str) else given[0])


def _structure(wanted: ResponseFormat | None) -> Payload | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"json_object": True}
    if wanted.json_schema is None:
        raise BadRequestError("response_format.json_schema is missing", "response_format")
    return {"json": wanted.json_schema.json_schema}


def _require_one_grammar(asked: GuardRequest) -> None:
    if asked.tools and asked.structure:
        raise BadRequestError(
            "the engine keeps to one grammar: give tools or response_format, not both", "response_format"
        )
    if asked.tools and asked.logprobs:
        raise BadRequestError(
            "the tokens of a call are not those of its arguments, so that no log-probability of them would be true",
            "logprobs",
        )
    grammar = asked.tools.grammar() if asked.tools else asked.structure
    if grammar is None:
        return
    param = "tools" if asked.tools else "response_format"
    try:
        size = len(orjson.dumps(grammar))
    except orjson.JSONEncodeError as error:
        raise BadRequestError(
            "the schema nests too deeply, or holds a number of over 64 bits", param
        ) from error
    if size > _MOST_SCHEMA_BYTES:
        raise BadRequestError(f"schemas may take at most {_MOST_SCHEMA_BYTES} bytes", param)


def _within(asked: GuardRequest, limits: Limits) -> GuardRequest:
    if asked.n > limits.n:
        raise BadRequestError(f"n may be at most {limits.n}", "n")
    if (asked.max_tokens or 0) > limits.max_tokens:
        raise BadRequestError(f"max_tokens may be at most {limits.max_tokens}", "max_tokens")
    if any(not text for text in asked.stop) or len(asked.stop) > 4:
        raise BadRequestError("stop takes at most four texts, none of them empty", "stop")
    return asked
