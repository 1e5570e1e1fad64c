"""Sending an error before any route is reached."""

import orjson
from starlette.types import Send

from guard_server.errors import GuardError


async def send_error(send: Send, error: GuardError) -> None:
    """Send an error in OpenAI's shape and end the response."""
    body = orjson.dumps(error.body())
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
