"""A client that goes: what the engine still does for it, and whether its place is free again."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from guard_server.adapter import load_adapters
from guard_server.app import create_app
from guard_server.engine.base import Endpoint, Payload
from guard_server.settings import GuardConfig
from tests.guard_server.conftest import KEY, PREFIX

QUESTION = [{"role": "user", "content": "say hello"}]


class Hanging:
    """An engine that begins and never ends."""

    def __init__(self, *, first: bool) -> None:
        self.asked = asyncio.Event()
        self.cancelled = False
        self._first = first

    async def complete(self, endpoint: Endpoint, payload: Payload) -> Payload:
        await self._hang()
        return {}

    async def stream(self, endpoint: Endpoint, payload: Payload) -> AsyncIterator[list[Payload]]:
        if self._first:
            yield [{"choices": [{"index": 0, "text": PREFIX + "Hello there", "finish_reason": None}]}]
        await self._hang()

    async def _hang(self) -> None:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True


async def ask_and_go(app: FastAPI, asked: asyncio.Event, *, stream: bool) -> None:
    """Send a request, wait until the engine has it, and go."""
    content = json.dumps({"model": "writer", "messages": QUESTION, "stream": stream}).encode()
    messages = iter([{"type": "http.request", "body": content, "more_body": False}])

    async def receive():
        if message := next(messages, None):
            return message
        await asked.wait()
        return {"type": "http.disconnect"}

    async def send(_):
        return None

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {KEY}".encode())],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("guard", 80),
        "client": ("client", 1),
        "root_path": "",
    }
    await asyncio.wait_for(app(scope, receive, send), 5)


@pytest.mark.parametrize(("stream", "first"), [(False, False), (True, False), (True, True)])
async def test_a_client_that_goes_cancels_the_engine_and_frees_its_place(
    config: GuardConfig, stream: bool, first: bool
):
    engine = Hanging(first=first)
    app = create_app(config, load_adapters(config), (hashlib.sha256(KEY.encode()).digest(),), engine=engine)
    await ask_and_go(app, engine.asked, stream=stream)
    await asyncio.sleep(0)
    assert engine.cancelled
    assert app.state.metrics.in_flight._value.get() == 0
