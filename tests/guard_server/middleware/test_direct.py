"""The direct way answers as the framework's own: the same refusals, and everything that is not its own passed on."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from guard_server.errors import OverloadedError
from guard_server.middleware.direct import DirectMiddleware


async def direct(request: Request) -> Response:
    if await request.body() == b"no":
        raise OverloadedError("later", retry_after_s=7)
    return PlainTextResponse("direct")


async def framework(request: Request) -> Response:
    return PlainTextResponse("framework")


def client() -> TestClient:
    app = Starlette(
        routes=[Route("/a", framework, methods=["POST"]), Route("/b", framework, methods=["POST"])]
    )
    return TestClient(DirectMiddleware(app, {"/a": direct}))


def test_a_post_at_its_path_is_answered():
    assert client().post("/a").text == "direct"


def test_other_paths_and_methods_are_the_frameworks():
    with client() as asked:
        assert asked.post("/b").text == "framework"
        assert asked.get("/a").status_code == 405


def test_a_refusal_has_its_status_headers_and_shape():
    reply = client().post("/a", content=b"no")
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    assert reply.json()["error"]["message"] == "later"
