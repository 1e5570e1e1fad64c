import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp

from guard_server import listener as module
from guard_server.listener import listener
from guard_server.routes.disconnect import WHEN_GONE, ClientGoneError, unless_gone
from tests.raw_http import exchange

GET = b"GET / HTTP/1.1\r\nhost: guard\r\n"


async def answers(scope, receive, send):
    assert scope["type"] in {"http", "lifespan"}
    if scope["type"] == "http":
        body = scope["client"][0].encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[int]:
    server = uvicorn.Server(listener(app, "127.0.0.1", 0, 1, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(module, "_HEAD_S", 0.2)
    async with listening(answers) as found:
        yield found


@pytest.mark.parametrize(("size", "status"), [(1_000, 200), (30_000, 200), (500_000, 431)])
async def test_a_head_has_a_largest_size(port: int, size: int, status: int):
    (answer,) = await exchange(port, GET + b"x: " + b"y" * size + b"\r\n\r\n")
    assert answer.status == status


@pytest.mark.parametrize("sent", [b"", b"GET", GET])
async def test_a_head_that_does_not_come_ends_the_connection(port: int, sent: bytes):
    assert await exchange(port, sent, timeout_s=5) == []


async def test_a_slow_head_after_a_good_request_ends_it_too(port: int):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + b"\r\n")
    await reader.readuntil(b"127.0.0.1")
    writer.write(b"GET")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_the_server_says_nothing_of_itself_and_believes_no_header(port: int):
    (answer,) = await exchange(port, GET + b"x-forwarded-for: 10.1.2.3\r\n\r\n")
    assert b"10.1.2.3" not in answer.raw
    assert b"server:" not in answer.raw


async def test_a_client_that_goes_ends_the_work_for_it():
    began, ended = asyncio.Event(), asyncio.Event()

    async def works(scope, receive, send):
        assert WHEN_GONE in scope
        began.set()
        try:
            await unless_gone(scope, receive, asyncio.sleep(600))
        except ClientGoneError:
            ended.set()

    async with listening(works) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"\r\n")
        await began.wait()
        writer.close()
        await asyncio.wait_for(ended.wait(), 1)


async def test_a_client_that_went_before_the_work_began_ends_it_too():
    ended = asyncio.Event()

    async def works(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        try:
            await unless_gone(scope, receive, asyncio.sleep(600))
        except ClientGoneError:
            ended.set()

    async with listening(works) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"\r\n")
        await writer.drain()
        writer.close()
        await asyncio.wait_for(ended.wait(), 1)
