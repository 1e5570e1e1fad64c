import httpx
import structlog
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from guard_server.middleware.request_id import RequestIdMiddleware


async def logged_id(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(structlog.contextvars.get_contextvars()["request_id"])(scope, receive, send)


async def get(headers: dict[str, str] | None = None) -> httpx.Response:
    transport = httpx.ASGITransport(RequestIdMiddleware(logged_id))
    async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
        return await client.get("/", headers=headers)


async def test_the_response_has_the_id_that_is_logged_and_each_its_own():
    first, second = await get(), await get()
    assert first.headers["x-request-id"] == first.text
    assert first.text != second.text


async def test_a_clients_id_is_not_taken_over():
    assert (await get({"x-request-id": "secret prompt"})).headers["x-request-id"] != "secret prompt"
