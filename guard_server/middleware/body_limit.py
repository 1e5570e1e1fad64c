"""A limit on the size of a body, declared or not."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard_server.errors import TooLargeError
from guard_server.middleware.error_body import send_error


class BodyLimitMiddleware:
    """Answers 413 to a body that is larger than the limit.

    Args:
        app: What comes next.
        limit: Bytes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        messages, size = [], 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._limit:
                await send_error(send, TooLargeError(f"the body is larger than {self._limit} bytes"))
                return
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        waiting = iter(messages)

        async def replay() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, replay, send)
