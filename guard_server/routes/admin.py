"""The admin API: what is served, and what may be done to it. It has a listener and keys of its own."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard_server.adapters.history import Actor, AdapterEvent
from guard_server.adapters.lifecycle import Lifecycle
from guard_server.adapters.refusal import VersionRefusedError
from guard_server.adapters.slot import Version
from guard_server.errors import BadRequestError, RefusedVersionError
from guard_server.schemas import WireObject

T = TypeVar("T")
_ROOT = "/admin/v1/adapters"


class LoadBody(BaseModel):
    """What to load.

    Attributes:
        source: Another source than guard.yaml's, until the next edit of its entry or the next start.
    """

    model_config = ConfigDict(extra="forbid")

    source: str | None = Field(default=None, min_length=1, max_length=2048)


class AdminRoutes:
    """Speaks for the life cycle.

    Args:
        lifecycle: Does the work. An operation that has begun is ended though the client goes.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.router = APIRouter()
        self._lifecycle = lifecycle
        self._running: set[asyncio.Task[Any]] = set()
        # The verbs come last, so that a name may hold slashes.
        self.router.get(_ROOT)(self.listed)
        self.router.get("/admin/v1/history")(self.history)
        self.router.get(_ROOT + "/{name:path}/history")(self.history)
        self.router.post(_ROOT + "/{name:path}/load")(self.load)
        self.router.post(_ROOT + "/{name:path}/promote")(self.promote)
        self.router.post(_ROOT + "/{name:path}/rollback")(self.rollback)
        self.router.post(_ROOT + "/{name:path}/unload")(self.unload)

    async def listed(self) -> WireObject:
        """Return every adapter with its state."""
        return {"object": "list", "data": self._lifecycle.listed()}

    async def history(self, name: str | None = None) -> WireObject:
        """Return what happened since the start, to one adapter or to all."""
        if name:
            self._lifecycle.slot(name)
        return {"object": "list", "data": [_event(event) for event in self._lifecycle.history.of(name)]}

    async def load(self, name: str, request: Request) -> WireObject:
        """Load a version beside the live one, prove it, and stage it."""
        content = await request.body()
        try:
            body = LoadBody.model_validate_json(content) if content else LoadBody()
        except ValidationError:
            raise BadRequestError('the body is nothing, or {"source": "..."}', "source") from None
        staged = await self._done(self._lifecycle.load(name, Actor.ADMIN, body.source))
        return _version(name, staged, "staged")

    async def promote(self, name: str) -> WireObject:
        """Let the staged version take over."""
        return _version(name, await self._done(self._lifecycle.promote(name, Actor.ADMIN)), "live")

    async def rollback(self, name: str) -> WireObject:
        """Go back to the last good version."""
        went = self._lifecycle.rollback(name, Actor.ADMIN, "asked by an operator")
        return _version(name, await self._done(went), "live")

    async def unload(self, name: str) -> WireObject:
        """Let go of the staged version and of the one kept for a rollback."""
        return {"adapter": name, "unloaded": await self._done(self._lifecycle.unload(name, Actor.ADMIN))}

    async def _done(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except VersionRefusedError as refusal:
            raise RefusedVersionError(f"{refusal.reason}: {refusal.message}", "name") from refusal


def _version(name: str, version: Version, state: str) -> WireObject:
    return {"adapter": name, "version": version.adapter.version, "state": state}


def _event(event: AdapterEvent) -> WireObject:
    return event._asdict() | {"at": event.at.isoformat()}
