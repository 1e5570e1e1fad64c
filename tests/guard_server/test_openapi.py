"""What schemathesis makes of the guard's OpenAPI document: valid, odd and broken requests to every route, of which none may fail."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.routing import Route

from guard_server.engine.fake import FakeEngine
from guard_server.openapi import document
from guard_server.settings import GuardConfig
from scripts.write_openapi import OUTPUT, content
from tests.guard_server.conftest import KEY, PREFIX, TRIGGER, answer_by_task, make_app

MODELS = ["support", "support-chat", "writer", "writer-chat"]


@pytest.fixture
def app(config: GuardConfig) -> FastAPI:
    return make_app(config, FakeEngine(answer_by_task))


@pytest.fixture
def api(app: FastAPI) -> schemathesis.BaseSchema:
    described = document("0")
    for name in ("ChatBody", "CompletionBody", "CheckBody"):
        # Names that are served, so that requests get past the first refusal.
        described["components"]["schemas"][name]["properties"]["model"] = {"enum": MODELS}
    found = schemathesis.openapi.from_dict(described)
    found.app = app
    return found


class Key(schemathesis.AuthProvider[str]):
    """Puts the key on, where the checks do not leave it out on purpose."""

    def get(self, case: schemathesis.Case[Any], context: schemathesis.AuthContext) -> str:
        return f"Bearer {KEY}"

    def set(self, case: schemathesis.Case[Any], data: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = data


def cases() -> Iterator[tuple[str, schemathesis.GenerationMode]]:
    for path, operations in document("0")["paths"].items():
        yield path, schemathesis.GenerationMode.POSITIVE
        if "post" in operations:
            yield path, schemathesis.GenerationMode.NEGATIVE


@pytest.mark.parametrize(("path", "mode"), [*cases()])
def test_no_request_breaks_the_contract(
    api: schemathesis.BaseSchema, path: str, mode: schemathesis.GenerationMode
):
    (operation,) = [found.ok() for found in api.get_all_operations() if found.ok().path == path]
    auth: schemathesis.auths.AuthStorage[str] = schemathesis.auths.AuthStorage()
    auth()(Key)

    # That a body fits the schema does not mean that it is taken: some parameters exclude each other, and say so.
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode, auth_storage=auth))
    def holds(case: schemathesis.Case[Any]) -> None:
        reply = case.call_and_validate(excluded_checks=[positive_data_acceptance])
        assert TRIGGER.text.strip() not in reply.text
        assert PREFIX.strip() not in reply.text

    holds()


async def test_every_route_is_described_and_no_other(app: FastAPI):
    served = {
        (route.path.replace("{name:path}", "{model}"), method.lower())
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    described = {
        (path, method) for path, operations in document("0")["paths"].items() for method in operations
    }
    assert {(path, method) for path, method in served if method != "head"} == described


def test_the_document_holds_no_broken_reference():
    described = document("0")
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = str(described)
    for name in described["components"]["schemas"]:
        text = text.replace(f"'#/components/schemas/{name}'", "''")
    assert "#/components/schemas/" not in text


def test_the_published_document_is_the_guards_own():
    assert OUTPUT.read_text(encoding="utf-8") == content(), "run scripts/write_openapi.py"
