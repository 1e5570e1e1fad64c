"""Reading a request's body: strict JSON against the allow-list, and a reason for each parameter that is refused."""

import json
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from guard_server.errors import BadRequestError

BodyT = TypeVar("BodyT", bound=BaseModel)
_REASONS = {
    "logit_bias": "a bias could lift a label out of the half that the guard holds the engine to",
    "echo": "an echo would show the stamp",
    "prompt_logprobs": "they would show the stamp",
    "chat_template": "the adapter's prompt template is part of the defence",
    "continue_final_message": "the answer must begin with the model's own words",
    "prompt_embeds": "what is not text can't be stamped",
    "prompt_token_ids": "what is not text can't be stamped",
    "suffix": "the adapter's prompt template says where the answer stands",
    "best_of": "answers that are thrown away could not be accounted for; ask with n",
    "name": "the adapter's prompt template has no place for names of speakers",
    "functions": "it is out of date; use tools",
    "function_call": "it is out of date; use tools and tool_choice",
    "structured_outputs": "use response_format or tools",
    "guided_json": "use response_format",
    "store": "the guard stores nothing",
    "metadata": "the guard stores nothing",
    "audio": "answers are text",
    "modalities": "answers are text",
    "prediction": "the engine has no use for it",
    "reasoning_effort": "the adapter's prompt template has no place for it",
    "verbosity": "the adapter's prompt template has no place for it",
    "web_search_options": "the guard searches nothing",
}


def read_body(model: type[BodyT], content: bytes) -> BodyT:
    """Return a request's body as its model.

    Raises:
        BadRequestError: It is not JSON, has a key twice, or has a parameter that is unknown or out of range: it is named.
    """
    try:
        # The strict reader refuses NaN, broken UTF-8 and lone surrogates, which the engine's request could not carry.
        raw = orjson.loads(content)
    except ValueError as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(raw, dict):
        raise BadRequestError("the body must be a JSON object")
    # An explicit null means the default, as in OpenAI's API; for an unknown parameter too.
    given = {name: _without_nulls(name, value) for name, value in raw.items() if value is not None}
    try:
        body = model.model_validate(given)
    except ValidationError as error:
        raise _explained(error) from None
    # Last, for it is the slow one: a body of another shape than the allowed one must not cost its time.
    _require_keys_once(content)
    return body


def _require_keys_once(content: bytes) -> None:
    try:
        json.loads(content, object_pairs_hook=_without_duplicates, parse_int=_require_64_bits)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error


def _without_nulls(name: str, value: object) -> object:
    """Drop nulls where they mean the default: clients send earlier answers back with all their empty fields."""
    if name == "messages" and isinstance(value, list):
        return [_without_nulls("message", message) for message in value]
    if name in {"message", "stream_options", "response_format"} and isinstance(value, dict):
        return {key: held for key, held in value.items() if held is not None}
    return value


def _explained(error: ValidationError) -> BadRequestError:
    fault = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        name = str(fault["loc"][-1])[:64]
        reason = _REASONS.get(name, "it is not on the list of parameters that keep the defence intact")
        return BadRequestError(f"the parameter {name!r} is not taken: {reason}", place[:128])
    return BadRequestError(f"{place or 'body'}: {fault['msg']}"[:300], place[:128] or None)


def _require_64_bits(digits: str) -> int:
    """Return the number; one that is too long the strict reader has made a float of, which is another number."""
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise BadRequestError("an integer has more than 64 bits")
    return int(digits)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadRequestError("a key stands twice in one object")
    return found
