"""A transport that gathers what is written in one turn of the event loop: a head and its body, or frames that come together.

uvloop hands each write to the system at once, and uvicorn writes head and body apart: a system call and a segment each.
"""

import asyncio
from typing import Any

_MOST_HELD = 64 << 10
"""Bytes; more is written at once, so that the transport's own flow control sees it."""


class GatheringTransport(asyncio.Transport):
    """Passes everything on to a transport, writes once a turn.

    Args:
        transport: The connection's own.
        loop: The running event loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        # Not the parent's, which would only copy `extra`.
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hold bytes until this turn of the loop is over."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(bytes(data))
        self._size += len(data)
        if self._size > _MOST_HELD:
            self._flush()

    def close(self) -> None:
        """Write what is held, then close."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is held is lost, as what is in the transport's own buffer is."""
        self._held.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or closing."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio has it
        """Return what the transport knows of its connection."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Take no bytes for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be written."""
        return self._size + self._transport.get_write_buffer_size()

    def _flush(self) -> None:
        if self._held:
            data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held.clear()
            self._size = 0
            self._transport.write(data)
