"""Calls in an answer as it comes: text before and between them, their names, and their arguments piece by piece."""

from enum import Enum, auto

from guard_server.answers import CallPiece
from guard_server.tools import END, ToolUse


class _At(Enum):
    TEXT = auto()
    ARGUMENTS = auto()
    END = auto()


class CallReader:
    """Splits an answer into text and calls, and holds back only what could still be the beginning of a call.

    What looks like a call of an unknown function, or is not formed as one, is text.

    Args:
        tools: The functions that may be called.

    Attributes:
        calls: How many calls have begun.
    """

    def __init__(self, tools: ToolUse) -> None:
        self.calls = 0
        self._begins = tools.begins
        self._at = _At.TEXT
        self._held = ""
        # White space may be all that stands between a call and the next one, or the end: then it is no text.
        self._after_call = False
        self._depth = _Depth()

    def feed(self, piece: str) -> list[str | CallPiece]:
        """Take the next piece and return what is decided by now: texts and pieces of calls."""
        self._held += piece
        found: list[str | CallPiece] = []
        before = None
        while self._held and before != (self._at, len(self._held)):
            before = (self._at, len(self._held))
            if self._at is _At.TEXT:
                found += self._text()
            elif self._at is _At.ARGUMENTS:
                found.append(self._arguments())
            else:
                self._end()
        return found

    def finish(self) -> list[str | CallPiece]:
        """Return what was held when the answer ended; an end of a call that was cut off is nothing."""
        rest, self._held = self._held, ""
        return self._spoken(rest) if self._at is _At.TEXT else []

    def _text(self) -> list[str | CallPiece]:
        for start, character in enumerate(self._held):
            if character != "<":
                continue
            rest = self._held[start:]
            begun = next((begin for begin in self._begins if rest.startswith(begin)), None)
            if begun:
                text, self._held = self._held[:start], rest.removeprefix(begun)
                return [*self._spoken(text), self._open(self._begins[begun])]
            if any(begin.startswith(rest) for begin in self._begins):
                return self._let_out(start)
        return self._let_out(len(self._held))

    def _let_out(self, end: int) -> list[str | CallPiece]:
        if self._after_call and not self._held[:end].strip():
            return []
        text, self._held = self._held[:end], self._held[end:]
        return self._spoken(text)

    def _spoken(self, text: str) -> list[str | CallPiece]:
        if not text or (self._after_call and not text.strip()):
            return []
        self._after_call = False
        return [text]

    def _open(self, name: str) -> CallPiece:
        self._at, self._depth = _At.ARGUMENTS, _Depth()
        self.calls += 1
        return CallPiece(self.calls - 1, "", name)

    def _arguments(self) -> CallPiece:
        end = self._depth.end_in(self._held)
        if end is not None:
            self._at = _At.END
        piece, self._held = self._held[:end], "" if end is None else self._held[end:]
        return CallPiece(self.calls - 1, piece)

    def _end(self) -> None:
        if self._held != END and END.startswith(self._held):
            return
        self._held = self._held.removeprefix(END)
        self._at, self._after_call = _At.TEXT, True


class _Depth:
    """Finds where a JSON object ends in text that comes in pieces."""

    def __init__(self) -> None:
        self._open = 0
        self._in_string = False
        self._is_escaped = False

    def end_in(self, piece: str) -> int | None:
        """Return the place behind the object's last character, or None when it goes on."""
        for at, character in enumerate(piece):
            if self._in_string:
                self._string(character)
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._open += 1
            elif character in "}]":
                self._open -= 1
                if self._open <= 0:
                    return at + 1
        return None

    def _string(self, character: str) -> None:
        if self._is_escaped:
            self._is_escaped = False
        elif character == "\\":
            self._is_escaped = True
        elif character == '"':
            self._in_string = False
