"""The busiest routes, reached without the framework's own way to a route, which costs a request about a fifteenth of its time.

What is not here, another method or another path, goes on to the framework, whose routes are the same functions.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard_server.errors import GuardError
from guard_server.middleware.error_body import send_error

Endpoint = Callable[[Request], Awaitable[Response]]


class DirectMiddleware:
    """Answers POST at some paths; it stands behind all other middleware.

    Args:
        app: What comes next.
        endpoints: What answers, by path.
    """

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            response = await endpoint(Request(scope, receive, watched))
            await response(scope, receive, watched)
        except GuardError as error:
            if has_begun:
                raise
            await send_error(send, error)
