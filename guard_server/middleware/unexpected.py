"""The last line: whatever was not raised on purpose is a 500 that says nothing of the request."""

import traceback

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard_server.errors import GuardError
from guard_server.middleware.error_body import send_error

_log = structlog.get_logger()


class UnexpectedErrorMiddleware:
    """Answers 500 and logs the error's type and place, never its message: that may quote a prompt.

    Args:
        app: What comes next.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; the server must not see the error, for it would log the message."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - this is where every error ends
            _log.error("unexpected_error", type=type(error).__name__, place=_place(error))
            if not has_begun:
                await send_error(send, GuardError("the guard failed; the request was not answered"))


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].name}:{frames[-1].lineno}" if frames else "unknown"
