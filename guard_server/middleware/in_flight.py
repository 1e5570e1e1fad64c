"""A limit on the requests that are answered at once; what is over it is told to come again."""

from prometheus_client import Counter, Gauge
from starlette.types import ASGIApp, Receive, Scope, Send

from guard_server.errors import OverloadedError
from guard_server.middleware.error_body import send_error
from guard_server.middleware.probe_keys import is_probe


class InFlightMiddleware:
    """Answers 429 when too many requests are being answered.

    It counts a request from the first byte of work to the last byte sent, whichever way it ends.

    Args:
        app: What comes next.
        limit: Requests at once.
        gauge: Shows how many there are.
        limited: Counts the refused ones.
        paths: The paths whose requests count.
        of_probes: Whether it counts probes, or everybody else: neither takes the other's places.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: int,
        gauge: Gauge,
        limited: Counter,
        paths: frozenset[str],
        *,
        of_probes: bool = False,
    ) -> None:
        self._app = app
        self._limit = limit
        self._gauge = gauge
        self._limited = limited
        self._paths = paths
        self._of_probes = of_probes
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 429, or pass the request on."""
        if scope["type"] != "http" or scope["path"] not in self._paths or is_probe(scope) != self._of_probes:
            await self._app(scope, receive, send)
            return
        if self._running >= self._limit:
            self._limited.inc()
            await send_error(send, OverloadedError("too many requests at once; try again shortly"))
            return
        self._enter(1)
        try:
            await self._app(scope, receive, send)
        finally:
            self._enter(-1)

    def _enter(self, change: int) -> None:
        self._running += change
        self._gauge.set(self._running)
