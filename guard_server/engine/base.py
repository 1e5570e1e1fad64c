"""What the guard asks of an engine, and what it gets back: OpenAI's own shapes, as plain dictionaries."""

from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import Any, Protocol

Payload = dict[str, Any]


class Endpoint(StrEnum):
    """Which of the engine's two routes is meant."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"


class Engine(Protocol):
    """A place where models answer. Each raises EngineUnavailableError when the engine can't be reached or fails."""

    async def complete(self, endpoint: Endpoint, payload: Payload) -> Payload:
        """Return the whole answer to a request whose ``model`` is a content name."""
        ...

    def stream(self, endpoint: Endpoint, payload: Payload) -> AsyncGenerator[list[Payload], None]:
        """Return the answer in chunks, those that came together as one list; closing the iterator cancels the request."""
        ...
