"""A client that sends bytes as they are, for what no proper client would send."""

import asyncio
import contextlib
from typing import NamedTuple

_MORE_S = 0.02
"""How long a second answer is waited for where none should come."""


class Answer(NamedTuple):
    """A status, and all bytes of the answer, its head included."""

    status: int
    raw: bytes


async def exchange(port: int, raw: bytes, timeout_s: float = 20) -> list[Answer]:
    """Send the bytes and return the answers; none where the connection is closed without one.

    Raises:
        TimeoutError: Neither an answer nor the end came in time.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found: list[Answer] = []
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(raw)
        wait = timeout_s
        while answer := await _answer(reader, wait, must_come=not found):
            wait = timeout_s if answer.status < 200 else _MORE_S
            found += [answer] if answer.status >= 200 else []
    finally:
        writer.transport.abort()
    return found


async def _answer(reader: asyncio.StreamReader, timeout_s: float, *, must_come: bool) -> Answer | None:
    """Return the next answer, or None where the connection ends or none comes that need not."""
    try:
        async with asyncio.timeout(timeout_s):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            if b"transfer-encoding: chunked" in lines:
                return Answer(int(head.split()[1]), head + await reader.readuntil(b"0\r\n\r\n"))
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            return Answer(int(head.split()[1]), head + await reader.readexactly(length))
    except TimeoutError:
        if must_come:
            raise
        return None
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
