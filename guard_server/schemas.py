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


class CalledFunction(_Wire):
    """What an earlier turn called: a name, and arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(_Wire):
    """One call in an earlier turn."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(_Wire):
    """A chat message of text, or of calls and their results."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True)] = ""
    tool_calls: Annotated[list[ToolCall], Field(min_length=1, fail_fast=True)] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """Its text, parts joined."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class FunctionSpec(_Wire):
    """A function that the model may call; ``parameters`` is a JSON schema of an object."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Wire):
    """A tool: a function, as OpenAI's API knows no other that a client runs itself."""

    type: Literal["function"]
    function: FunctionSpec


class FunctionName(_Wire):
    """A function by its name."""

    name: str


class NamedChoice(_Wire):
    """The one function that must be called."""

    type: Literal["function"]
    function: FunctionName


class JsonSchema(_Wire):
    """The schema that an answer keeps to."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    json_schema: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(_Wire):
    """How an answer is to look."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(_Wire):
    """Options of a stream."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


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
    # vLLM's own, which OpenAI's clients send as extra_body.
    top_k: Annotated[int, Field(ge=1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    user: str | None = None


class ChatBody(Body):
    """``/v1/chat/completions``."""

    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128, fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None


class CompletionBody(Body):
    """``/v1/completions``."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1, fail_fast=True)]
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class CheckBody(_Wire):
    """``/v1/p2p/check``: a chat's messages or a completion's prompt."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)] | None = None
    prompt: str | None = None


WireObject = dict[str, Any]
"""A JSON object on its way to a client."""
