"""Server-sent events as vLLM writes them, read from bytes that come in any pieces.

Lines are cut at CR, LF or CRLF alone (WHATWG HTML, 9.2.6): an answer may hold U+2028 or U+0085, which cuts at "any line break" would
take for an end.
"""

import re

from guard_server.errors import EngineUnavailableError

_LONGEST_EVENT = 4 << 20
"""Bytes; vLLM's chunks have hundreds, and an engine that never ends one must not fill the memory."""
_LINE_END = re.compile(rb"\r\n|\r(?!\Z)|\n")


class EventReader:
    """Takes bytes and gives the ``data`` of whole events; comments and other fields are skipped."""

    def __init__(self) -> None:
        self._held = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next bytes and return the data of every event that they end.

        Raises:
            EngineUnavailableError: An event is longer than any that an engine writes.
        """
        *lines, self._held = _LINE_END.split(self._held + piece)
        events = [event for line in lines if (event := self._take(line)) is not None]
        if len(self._held) + self._size > _LONGEST_EVENT:
            raise EngineUnavailableError("the engine's stream can't be read")
        return events

    def _take(self, line: bytes) -> bytes | None:
        """Take a whole line; return the event's data when it is the blank one that ends it."""
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            self._size += len(line)
            return None
        if line or not self._data:
            return None
        event, self._data, self._size = b"\n".join(self._data), [], 0
        return event
