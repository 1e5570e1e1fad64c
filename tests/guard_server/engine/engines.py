"""Engines of a few lines that listen on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import RawTestServer

from guard_server.engine.channel import Channel


class Engine:
    """Answers every POST with its name, and health and models as told.

    Attributes:
        models: What it says it serves.
        gate: Answers wait for it.
        posts: How many requests it was sent.
    """

    def __init__(self, name: str, models: tuple[str, ...] = ("m",), **more: Any) -> None:
        self.name = name
        self.models = models
        self.gate = asyncio.Event()
        self.gate.set()
        self.posts = 0
        self.key: str | None = more.get("key")
        self.routes: tuple[str, ...] = more.get("routes", ())

    async def answer(self, asked: web.BaseRequest) -> web.StreamResponse:
        if (
            self.key
            and asked.path.startswith("/v1")
            and asked.headers.get("authorization") != f"Bearer {self.key}"
        ):
            return web.json_response({}, status=401)
        if asked.path == "/openapi.json":
            return web.json_response({"paths": {route: {} for route in self.routes}})
        if asked.method == "GET":
            await self.gate.wait()
            return web.json_response({"data": [{"id": model} for model in self.models]})
        self.posts += 1
        await self.gate.wait()
        if "m" not in self.models:
            return web.json_response({}, status=404)
        return web.json_response({"from": self.name})


@asynccontextmanager
async def serve(engine: Engine, open_channel: Callable[[str], Channel] = Channel) -> AsyncIterator[Channel]:
    async with RawTestServer(engine.answer) as server:
        channel = open_channel(str(server.make_url("")))
        try:
            yield channel
        finally:
            engine.gate.set()
            await channel.cut()
