import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from guard_server.middleware.body_limit import BodyLimitMiddleware


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await Response(body)(scope, receive, send)


async def post(content: bytes | AsyncIterator[bytes]) -> httpx.Response:
    transport = httpx.ASGITransport(BodyLimitMiddleware(echo, limit=10))
    async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
        return await client.post("/", content=content)


@pytest.mark.parametrize("size", [0, 9, 10])
async def test_a_body_within_the_limit_arrives_whole(size: int):
    assert (await post(b"x" * size)).content == b"x" * size


async def test_a_larger_body_is_a_413_in_openais_shape():
    reply = await post(b"x" * 11)
    assert reply.status_code == 413
    assert reply.json()["error"]["message"] == "the body is larger than 10 bytes"


async def test_a_body_without_a_declared_length_is_counted_as_it_comes():
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"xxx"

    assert (await post(pieces())).status_code == 413


async def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read():
    read = []

    async def receive() -> dict[str, object]:
        read.append(1)
        return {"type": "http.request", "body": b""}

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"content-length", b"11")]}
    await BodyLimitMiddleware(echo, limit=10)(scope, receive, send)
    assert (sent[0]["status"], read) == (413, [])


async def test_a_body_that_does_not_come_is_a_408():
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(5)

    transport = httpx.ASGITransport(BodyLimitMiddleware(echo, limit=10, upload_s=0.05))
    async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
        reply = await client.post("/", content=pieces())
    assert reply.status_code == 408
    assert reply.json()["error"]["code"] == "request_timeout"


async def test_a_client_that_goes_in_the_middle_of_its_body_is_no_request():
    messages = iter([{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}])
    reached = []

    async def app(*_: object) -> None:
        reached.append(1)

    async def receive() -> dict[str, object]:
        return next(messages)

    await BodyLimitMiddleware(app, limit=10)({"type": "http", "headers": []}, receive, None)
    assert reached == []
