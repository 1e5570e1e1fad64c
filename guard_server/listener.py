"""How the guard listens: HTTP/1.1 alone, heads of a bounded size that arrive in time, and nothing told of the server."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from guard_server.gathered_writes import GatheringTransport
from guard_server.routes.disconnect import WHEN_GONE

_LARGEST_HEAD = 32 << 10
"""Bytes of request line and headers."""
_HEAD_S = 15.0
"""Seconds from the first byte to the last one of a head, or from a connection's beginning to its first request."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which by itself takes heads of any size and waits for them without end."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own arguments, passed on
        super().__init__(*given, **named)
        self._in_head = True
        self._head_size = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._when_gone: Callable[[], None] | None = None
        self._is_gone = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin: the first request must come in time."""
        super().connection_made(GatheringTransport(transport, self.loop))
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and tell whoever works for the client."""
        self._disarm()
        super().connection_lost(exc)
        self._is_gone = True
        self._tell_when_gone(self._when_gone)

    def data_received(self, data: bytes) -> None:
        """Take the next bytes; refuse a head that has grown too large."""
        self._head_size += len(data)
        super().data_received(data)
        if not self._in_head or not self._head_size or self.transport.is_closing():
            return
        if self._head_size > _LARGEST_HEAD:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._deadline is None:
            self._arm()

    def on_headers_complete(self) -> None:
        """Pass a whole head on."""
        cast("dict[str, Any]", self.scope)[WHEN_GONE] = self._tell_when_gone
        self._in_head = False
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        self._in_head, self._head_size = True, 0
        super().on_message_complete()

    def _tell_when_gone(self, call: Callable[[], None] | None) -> None:
        self._when_gone = call
        if call and self._is_gone:
            self.loop.call_soon(call)

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(_HEAD_S, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


def listener(
    app: ASGIApp, host: str, port: int, grace_s: int, lifespan: Literal["auto", "off"] = "auto"
) -> uvicorn.Config:
    """Return how an application is served.

    Args:
        app: The application.
        host: Where it listens.
        port: The port; 0 for any that is free.
        grace_s: How long running requests may take to end.
        lifespan: ``off`` for an application that neither starts nor stops anything.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedHttpProtocol,
        ws="none",
        # Who a client is, its key says; headers that name another address or scheme are not believed.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=grace_s,
        lifespan=lifespan,
    )
