"""Connections to one engine: bytes there, bytes back, and an error that says whether the request had left."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aiohttp
from yarl import URL

from guard_server.errors import EngineUnavailableError

UNREACHABLE = "the engine is not available; try again shortly"
_CONNECT_S = 5.0
_KEEP_ALIVE_S = 4.0
"""Shorter than vLLM's 5 s: a connection that the engine is just closing must not be taken for the next request."""
_LARGEST_ANSWER = 64 << 20
_NO_CONNECTION = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
)
_Asking = AbstractAsyncContextManager[aiohttp.ClientResponse]
_SOCKET = "unix://"
_SENT = {"content-type": "application/json", "accept-encoding": "identity"}


class NotSentError(EngineUnavailableError):
    """No connection could be made: nothing of the request has left, and another engine may be asked."""


class EngineReply(NamedTuple):
    """A status and the whole body."""

    status: int
    content: bytes


class EngineStream(NamedTuple):
    """A status, and the body's bytes as they come."""

    status: int
    pieces: AsyncIterator[bytes]


class Link(Protocol):
    """One engine, or several that serve the same."""

    async def post(self, path: str, content: bytes) -> EngineReply:
        """Return the whole answer to a JSON body."""
        ...

    def stream(self, path: str, content: bytes) -> AbstractAsyncContextManager[EngineStream]:
        """Return the answer to a JSON body as it comes; leaving the block closes the request."""
        ...


class Channel:
    """One engine, at a URL or on a Unix socket.

    Environment variables for proxies are not heeded, redirections are not followed: a prompt goes to this engine or nowhere.

    Args:
        url: Its root, without ``/v1``; ``unix:///run/engine.sock`` is a socket that somebody else's vLLM listens on.
        socket: The Unix socket that it listens on; the URL's host is then a name only.
        key: Its API key.
        ca_file: Certificates to trust in place of the system's.
        timeout_s: How long a whole answer may take, in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        socket: Path | None = None,
        key: str | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 600,
    ) -> None:
        if url.startswith(_SOCKET):
            socket, url = Path("/" + url.removeprefix(_SOCKET).lstrip("/")), "http://engine"
        self._root = url.rstrip("/")
        self._urls: dict[str, URL] = {}
        self._socket = socket
        self._headers = _SENT | ({"authorization": f"Bearer {key}"} if key else {})
        self._tls = ssl.create_default_context(cafile=ca_file) if url.startswith("https:") else None
        self._timeout = _timeout(timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._unfinished: set[aiohttp.ClientResponse] = set()

    @property
    def is_socket(self) -> bool:
        """Whether it is reached over a Unix socket: who may ask is then what the file's permissions say."""
        return self._socket is not None

    @property
    def is_plain_network(self) -> bool:
        """Whether what is sent can be read on a network."""
        host = URL(self._root).host or ""
        local = host == "localhost" or host.startswith("127.") or host == "::1"
        return self._socket is None and self._tls is None and not local

    async def post(self, path: str, content: bytes, *, timeout_s: float | None = None) -> EngineReply:
        """Return the whole answer to a JSON body.

        Raises:
            NotSentError: There is no connection.
            EngineUnavailableError: The engine failed or took too long.
        """
        return await self._read(self._posted(path, content, timeout_s))

    @asynccontextmanager
    async def stream(self, path: str, content: bytes) -> AsyncIterator[EngineStream]:
        """Return the answer as it comes; leaving the block closes the request. See :meth:`post` for what it raises."""
        async with self._answer(self._posted(path, content)) as reply:
            yield EngineStream(reply.status, reply.content.iter_any())

    async def get(self, path: str, *, with_key: bool = True, timeout_s: float = 5) -> EngineReply:
        """Return the answer to a GET; see :meth:`post` for what it raises."""
        headers = self._headers if with_key else _SENT
        limit = aiohttp.ClientTimeout(timeout_s)
        asking = self._open().get(self._url(path), headers=headers, allow_redirects=False, timeout=limit)
        return await self._read(asking)

    async def cut(self) -> None:
        """Close every connection: requests that wait for an answer fail, later ones connect anew."""
        session, self._session = self._session, None
        for reply in self._unfinished:
            # aiohttp closes connections without a word to whoever reads from them, who would wait for ever.
            reply.content.set_exception(aiohttp.ServerDisconnectedError())
        if session:
            await session.close()

    async def _read(self, asking: _Asking) -> EngineReply:
        async with self._answer(asking) as reply:
            return EngineReply(reply.status, await _whole(reply))

    @asynccontextmanager
    async def _answer(self, asking: _Asking) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with asking as reply:
                self._unfinished.add(reply)
                try:
                    yield reply
                finally:
                    self._unfinished.discard(reply)
        except _NO_CONNECTION as error:
            raise NotSentError(UNREACHABLE) from error
        except (aiohttp.ClientError, OSError) as error:
            # A timeout is an OSError.
            raise EngineUnavailableError(UNREACHABLE) from error

    def _posted(self, path: str, content: bytes, timeout_s: float | None = None) -> _Asking:
        return self._open().post(
            self._url(path),
            data=content,
            headers=self._headers,
            allow_redirects=False,
            timeout=self._timeout if timeout_s is None else _timeout(timeout_s),
        )

    def _url(self, path: str) -> URL:
        """Return the whole URL; parsed once, for parsing costs as much as the rest of a request's head."""
        return self._urls.get(path) or self._urls.setdefault(path, URL(self._root + path))

    def _open(self) -> aiohttp.ClientSession:
        """Return the session; made late, for it belongs to the running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                timeout=self._timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    def _connector(self) -> aiohttp.BaseConnector:
        # As many connections as requests are let in: the limit is the guard's own.
        common: dict[str, Any] = {"limit": 0, "keepalive_timeout": _KEEP_ALIVE_S}
        if self._socket:
            return aiohttp.UnixConnector(str(self._socket), **common)
        return aiohttp.TCPConnector(ssl=self._tls or True, **common)


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(seconds, connect=None, sock_connect=_CONNECT_S)


async def _whole(reply: aiohttp.ClientResponse) -> bytes:
    declared = reply.content_length
    if declared is not None and declared <= _LARGEST_ANSWER:
        return await reply.read()
    found = bytearray()
    async for piece in reply.content.iter_any():
        found += piece
        if len(found) > _LARGEST_ANSWER:
            raise EngineUnavailableError("the engine's answer can't be read")
    return bytes(found)
