"""vLLM through its OpenAI HTTP interface."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

import orjson

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.channel import UNREACHABLE, Link
from guard_server.engine.sse import EventReader
from guard_server.errors import BadRequestError, EngineUnavailableError

_DONE = b"[DONE]"


class VllmEngine:
    """Asks the vLLM that serves a model.

    Args:
        route: Gives the way to the vLLM that serves a content name.
    """

    def __init__(self, route: Callable[[str], Link]) -> None:
        self._route = route

    @classmethod
    def of_links(cls, links: Mapping[str, Link]) -> "VllmEngine":
        """Return an engine with one way a content name; the mapping may change."""
        return cls(links.__getitem__)

    async def complete(self, endpoint: Endpoint, payload: Payload) -> Payload:
        """Return the whole answer.

        Raises:
            EngineUnavailableError: vLLM can't be reached, or failed.
            BadRequestError: vLLM refused the request, for instance because the prompt is too long.
        """
        reply = await self._route(payload["model"]).post(endpoint, orjson.dumps(payload))
        _require_ok(reply.status)
        return _object(reply.content)

    async def stream(self, endpoint: Endpoint, payload: Payload) -> AsyncGenerator[list[Payload], None]:
        """Yield the chunks of an answer, those of one read together; see :meth:`complete` for what it raises."""
        content, reader = orjson.dumps(payload | {"stream": True}), EventReader()
        async with self._route(payload["model"]).stream(endpoint, content) as (status, pieces):
            _require_ok(status)
            async for piece in pieces:
                events = reader.feed(piece)
                is_done = _DONE in events
                if is_done:
                    events = events[: events.index(_DONE)]
                chunks, failure = _chunks(events)
                if chunks:
                    yield chunks
                if failure:
                    raise failure
                if is_done:
                    return
        raise EngineUnavailableError("the engine's stream ended early")


def _object(content: bytes) -> Payload:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise EngineUnavailableError("the engine's answer can't be read") from error
    if not isinstance(found, dict):
        raise EngineUnavailableError("the engine's answer can't be read")
    return found


def _chunks(events: Sequence[bytes]) -> tuple[list[Payload], EngineUnavailableError | None]:
    """Return the chunks up to the first that tells of a failure, and that failure: what came before it is the answer's."""
    found: list[Payload] = []
    for event in events:
        try:
            found.append(_chunk(event))
        except EngineUnavailableError as error:
            return found, error
    return found, None


def _chunk(event: bytes) -> Payload:
    chunk = _object(event)
    if "error" in chunk:
        raise EngineUnavailableError("the engine failed while it answered")
    return chunk


def _require_ok(status: int) -> None:
    if status in (400, 422):
        # vLLM's message may quote the stamped prompt: it stays here.
        raise BadRequestError(
            "the engine refused the request: the prompt is too long, a parameter is out of range, or a schema has a feature that "
            "the engine can't hold an answer to"
        )
    if status != 200:
        raise EngineUnavailableError(UNREACHABLE)
