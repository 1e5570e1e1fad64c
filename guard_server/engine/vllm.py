"""vLLM through its OpenAI HTTP interface, over a Unix socket or a URL."""

from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path

import httpx
import orjson

from guard_server.engine.base import Endpoint, Payload
from guard_server.errors import BadRequestError, EngineUnavailableError

_TIMEOUT = httpx.Timeout(600, connect=5)
_SOCKET = "unix://"
_UNLIMITED = httpx.Limits(max_connections=None, max_keepalive_connections=64)


def client_of_socket(path: Path) -> httpx.AsyncClient:
    """Return a client of a vLLM that listens on a Unix socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(path), limits=_UNLIMITED)
    return httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=_TIMEOUT)


def client_of_url(url: str, key: str | None) -> httpx.AsyncClient:
    """Return a client of a vLLM at a URL; ``unix:///run/engine.sock`` is a socket that somebody else's vLLM listens on."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if url.startswith(_SOCKET):
        client = client_of_socket(Path("/" + url.removeprefix(_SOCKET).lstrip("/")))
        client.headers.update(headers)
        return client
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT, limits=_UNLIMITED)


class VllmEngine:
    """Asks the vLLM that serves a model.

    Args:
        route: Gives the client of the vLLM that serves a content name.
    """

    def __init__(self, route: Callable[[str], httpx.AsyncClient]) -> None:
        self._route = route

    @classmethod
    def of_clients(cls, clients: Mapping[str, httpx.AsyncClient]) -> "VllmEngine":
        """Return an engine with one client a content name."""
        return cls(clients.__getitem__)

    async def complete(self, endpoint: Endpoint, payload: Payload) -> Payload:
        """Return the whole answer.

        Raises:
            EngineUnavailableError: vLLM can't be reached, or failed.
            BadRequestError: vLLM refused the request, for instance because the prompt is too long.
        """
        try:
            reply = await self._route(payload["model"]).post(
                endpoint, content=orjson.dumps(payload), headers=_JSON
            )
        except httpx.HTTPError as error:
            raise EngineUnavailableError(_UNREACHABLE) from error
        _require_ok(reply.status_code)
        return _object(reply.content)

    async def stream(self, endpoint: Endpoint, payload: Payload) -> AsyncGenerator[Payload, None]:
        """Yield the chunks of an answer; see :meth:`complete` for what it raises."""
        request = self._route(payload["model"]).stream(
            "POST", endpoint, content=orjson.dumps(payload | {"stream": True}), headers=_JSON
        )
        try:
            async with request as reply:
                _require_ok(reply.status_code)
                async for line in reply.aiter_lines():
                    if line == "data: [DONE]":
                        return
                    if line.startswith("data: "):
                        yield _chunk(line)
        except httpx.HTTPError as error:
            raise EngineUnavailableError(_UNREACHABLE) from error
        raise EngineUnavailableError("the engine's stream ended early")


_JSON = {"content-type": "application/json"}
_UNREACHABLE = "the engine is not available; try again shortly"


def _object(content: str | bytes) -> Payload:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise EngineUnavailableError("the engine's answer can't be read") from error
    if not isinstance(found, dict):
        raise EngineUnavailableError("the engine's answer can't be read")
    return found


def _chunk(line: str) -> Payload:
    chunk = _object(line.removeprefix("data: "))
    if "error" in chunk:
        raise EngineUnavailableError("the engine failed while it answered")
    return chunk


def _require_ok(status: int) -> None:
    if status in (400, 422):
        # vLLM's message may quote the stamped prompt: it stays here.
        raise BadRequestError(
            "the engine refused the request: the prompt is too long, or a parameter is out of range"
        )
    if status != 200:
        raise EngineUnavailableError(_UNREACHABLE)
