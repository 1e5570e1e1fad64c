"""A limit on the size of a body, declared or not, and on the time that it takes to come."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard_server.errors import GuardError, SlowUploadError, TooLargeError
from guard_server.middleware.error_body import send_error


class BodyLimitMiddleware:
    """Answers 413 to a body that is larger than the limit, and 408 to one that does not come.

    Args:
        app: What comes next.
        limit: Bytes.
        upload_s: Seconds from the head to the last byte.
    """

    def __init__(self, app: ASGIApp, limit: int, upload_s: float = 30) -> None:
        self._app = app
        self._limit = limit
        self._upload_s = upload_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 or 408, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            messages = await self._read(scope, receive)
        except GuardError as error:
            await send_error(send, error)
            return
        if messages[-1]["type"] == "http.disconnect":
            # Nobody waits for an answer, and half a body is no request.
            return
        waiting = iter(messages)

        async def replay() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> list[Message]:
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self._limit:
            # Before a byte of it is read.
            raise self._too_large()
        try:
            async with asyncio.timeout(self._upload_s):
                return await self._collect(receive)
        except TimeoutError:
            raise SlowUploadError("the body did not arrive in time") from None

    async def _collect(self, receive: Receive) -> list[Message]:
        messages, size = [], 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._limit:
                raise self._too_large()
            if message["type"] != "http.request" or not message.get("more_body"):
                return messages

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the body is larger than {self._limit} bytes")
