"""A client that sends bytes as they are, for what no proper client would send."""

import asyncio
import contextlib

_MORE_S = 0.02
"""How long a second answer is waited for where none should come."""


async def statuses(port: int, raw: bytes, timeout_s: float = 20) -> list[int]:
    """Send the bytes and return the status of each answer; empty where the connection is closed without one.

    Raises:
        TimeoutError: Neither an answer nor the end came in time.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(raw)
        wait = timeout_s
        while status := await _answer(reader, wait, must_come=not found):
            wait = timeout_s if 100 <= status < 200 else _MORE_S
            found += [status] if status >= 200 else []
    finally:
        writer.transport.abort()
    return found


async def _answer(reader: asyncio.StreamReader, timeout_s: float, *, must_come: bool) -> int:
    """Return the status of the next answer, or 0 where the connection ends or none comes that need not."""
    try:
        async with asyncio.timeout(timeout_s):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            await reader.readexactly(length)
            return int(head.split()[1])
    except TimeoutError:
        if must_come:
            raise
        return 0
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0
