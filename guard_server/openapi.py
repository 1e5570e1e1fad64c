"""The guard's OpenAPI document, published as ``docs/openapi.json``. It is not served, and it knows of no adapter.

Requests are described by the models that read them; answers by the ones of OpenAI's own client, which is what has to read them.
"""

from collections.abc import Mapping
from typing import Any

from openai.types import Completion, Model
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from guard_server.middleware.auth import HEALTH_PATHS
from guard_server.routes.check import CHECK_PATH
from guard_server.routes.generate import CHAT_PATH, COMPLETIONS_PATH
from guard_server.schemas import ChatBody, CheckBody, CompletionBody

Schema = dict[str, Any]
_REF = "#/components/schemas/{model}"
_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_CHECKED: Schema = {
    "type": "object",
    "required": ["object", "model", "version", "guarded", "plain", "agree", "distance"],
    "properties": {
        "object": {"const": "p2p_guard.check"},
        "model": {"type": "string"},
        "version": {"type": "string"},
        "guarded": {"type": "string"},
        "plain": {"type": "string"},
        "agree": {"type": "boolean"},
        "distance": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
_EVENT: Schema = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}}
"""Each event of a stream, as OpenAPI 3.2 describes them; the data are a chunk as JSON, or ``[DONE]``."""
_DROPS_NULLS = ("ChatBody", "CompletionBody", "CheckBody", "Message", "StreamOptions", "ResponseFormat")
_REFUSALS = {
    400: "A parameter that is faulty, or that can't be kept true: it is named, with the reason.",
    401: "No key, or none that is known.",
    403: "The answer was refused by the policy.",
    404: "There is no such model.",
    405: "The method is not allowed here.",
    413: "The body is too large.",
    429: "Too many requests.",
    503: "The engine is not available.",
}


def document(version: str) -> Schema:
    """Return the document, as OpenAPI 3.1.

    Args:
        version: The guard's.
    """
    schemas: dict[str, Schema] = {"Error": _ERROR, "Check": _CHECKED}
    listed = {
        "type": "object",
        "properties": {"data": {"type": "array", "items": _reference(Model, schemas)}},
    }
    named = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    paths: Schema = {
        CHAT_PATH: {"post": _asking(ChatBody, _reference(ChatCompletion, schemas), schemas, streams=True)},
        COMPLETIONS_PATH: {
            "post": _asking(CompletionBody, _reference(Completion, schemas), schemas, streams=True)
        },
        CHECK_PATH: {"post": _asking(CheckBody, {"$ref": _REF.format(model="Check")}, schemas)},
        "/v1/models": {"get": _operation("Lists the adapters.", listed, (401, 405))},
        "/v1/models/{model}": {
            "get": _operation("Tells of one.", _reference(Model, schemas), (401, 404, 405))
            | {"parameters": [named]}
        },
        "/metrics": {"get": _operation("Prometheus' text format.", None, (401, 405))},
        **{path: {"get": _health()} for path in sorted(HEALTH_PATHS)},
    }
    for name in _DROPS_NULLS:
        _allow_nulls(schemas[name])
    keys = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "p2p-guard", "version": version},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": keys}},
        "security": [{"key": []}],
    }


def _asking(
    body: type[BaseModel], answer: Schema, schemas: dict[str, Schema], *, streams: bool = False
) -> Schema:
    content = {"application/json": {"schema": _reference(body, schemas)}}
    operation = _operation(body.__doc__ or "", answer, tuple(_REFUSALS))
    if streams:
        operation["responses"]["200"]["content"]["text/event-stream"] = {"schema": _EVENT}
    return operation | {"requestBody": {"required": True, "content": content}}


def _operation(summary: str, answer: Schema | None, refusals: tuple[int, ...]) -> Schema:
    told = (
        {"application/json": {"schema": answer}} if answer else {"text/plain": {"schema": {"type": "string"}}}
    )
    error = {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}}
    responses: Schema = {"200": {"description": "The answer.", "content": told}}
    responses |= {str(status): {"description": _REFUSALS[status], "content": error} for status in refusals}
    return {"summary": summary, "responses": responses}


def _health() -> Schema:
    state = {"application/json": {"schema": {"type": "object", "required": ["status"]}}}
    told = {"200": "It is so.", "503": "Not yet, or no longer."}
    answers = {status: {"description": text, "content": state} for status, text in told.items()}
    refused = _operation("", state, (405,))["responses"]["405"]
    return {"summary": "Health.", "responses": answers | {"405": refused}, "security": []}


def _reference(model: type[BaseModel], schemas: dict[str, Schema]) -> Schema:
    """Add a model and all it is made of to the schemas, and return a reference to it."""
    own = model.model_json_schema(ref_template=_REF)
    schemas.update(own.pop("$defs", {}))
    schemas[model.__name__] = own
    return {"$ref": _REF.format(model=model.__name__)}


def _allow_nulls(schema: Schema) -> None:
    """Say that null means the default, for parameters that are unknown too: see ``prompt_guard``."""
    schema["additionalProperties"] = {"type": "null"}
    properties: Mapping[str, Schema] = schema["properties"]
    schema["properties"] = {
        name: found if name in schema.get("required", ()) else {"anyOf": [found, {"type": "null"}]}
        for name, found in properties.items()
    }
