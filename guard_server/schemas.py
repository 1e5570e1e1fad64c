"""What clients may send: the allow-list of parameters is these fields, and anything else is refused by name."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_MOST_KEYS = 64


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _has_few_keys(cls, given: Any) -> Any:  # noqa: ANN401 - whatever a client sent
        """Stop at once: pydantic makes an error of each unknown key, and 20,000 of them take seconds."""
        if isinstance(given, dict) and len(given) > _MOST_KEYS:
            raise ValueError("the object has too many keys")
        return given


class TextPart(_Wire):
    """One text part of a message."""

    type: Literal["text"]
    text: str


class Message(_Wire):
    """A chat message of text."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True)]
    name: str | None = None

    @property
    def text(self) -> str:
        """Its text, parts joined."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(_Wire):
    """Options of a stream."""

    include_usage: bool = False


class Body(_Wire):
    """What both endpoints take."""

    model: str
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(fail_fast=True)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    user: str | None = None


class ChatBody(Body):
    """``/v1/chat/completions``."""

    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class CompletionBody(Body):
    """``/v1/completions``."""

    prompt: str
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


WireObject = dict[str, Any]
"""A JSON object on its way to a client."""
