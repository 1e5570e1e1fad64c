"""Normalisation of free-text answers, whole and streamed, without ever changing a word inside them.

White space around the answer and end markers left over at its end are dropped; in maths answers the answer line
(``####`` and the result) gets exactly one space after its mark. A stream holds back only what is still undecided.
"""

import re
from collections.abc import Sequence
from enum import StrEnum


class AnswerStyle(StrEnum):
    """What kind of text an answer is."""

    TEXT = "text"
    MATHS = "maths"
    """Ends in an answer line, ``#### 42``, as GSM8K's reference answers do."""


def normalise(text: str, style: AnswerStyle = AnswerStyle.TEXT, end_markers: Sequence[str] = ()) -> str:
    """Return the normalised answer.

    Args:
        text: The answer as the model wrote it, its prefix already removed.
        style: What kind of text it is.
        end_markers: Texts that are dropped where they stand at the end.
    """
    kept = text.lstrip()
    kept = kept[: _Tail(end_markers).start(kept)]
    return _space_answer_line(kept) if style is AnswerStyle.MATHS else kept


class StreamNormaliser:
    """The same as :func:`normalise`, for text that comes in pieces.

    ``feed`` returns what is decided; what it returned is never taken back. ``finish`` returns the rest.

    Attributes:
        dropped: How many characters were dropped in front.
        released: How many of the characters that were fed are in what was returned.
    """

    def __init__(self, style: AnswerStyle = AnswerStyle.TEXT, end_markers: Sequence[str] = ()) -> None:
        self.dropped = 0
        self.released = 0
        self._style = style
        self._tail = _Tail(end_markers)
        self._held = ""
        self._begun = False
        self._line_is_blank = True

    def feed(self, piece: str) -> str:
        """Take the next piece and return the text that is decided by now, which may be empty."""
        self._held += piece
        if not self._begun:
            bare = self._held.lstrip()
            self.dropped += len(self._held) - len(bare)
            self._held, self._begun = bare, bool(bare)
        cut = self._tail.undecided_start(self._held)
        if self._style is AnswerStyle.MATHS:
            cut = min(cut, self._open_mark(cut))
        return self._release(cut)

    def finish(self) -> str:
        """Return what is left of the answer when the stream has ended."""
        cut = self._tail.start(self._held)
        self._held = self._held[:cut]
        return self._release(cut)

    def _open_mark(self, cut: int) -> int:
        """Return where an answer line's mark begins that still waits for the text after it, else ``cut``."""
        found = (
            _OPEN_MARK.search(self._held, 0, cut)
            if self._line_is_blank
            else _LATER_MARK.search(self._held, 0, cut)
        )
        return found.start("mark") if found else cut

    def _release(self, cut: int) -> str:
        out, self._held = self._held[:cut], self._held[cut:]
        self.released += len(out)
        if self._style is not AnswerStyle.MATHS or not out:
            return out
        spaced = _space_answer_line(out) if self._line_is_blank else _space_later_lines(out)
        last = out.rsplit("\n", 1)
        self._line_is_blank = not last[-1] if len(last) > 1 else False
        return spaced


# Five or more # are a word like any other (a deep heading), not a mark.
_MARK = re.compile(r"^####(?!#)[ \t]*(?=\S)", re.MULTILINE)
_LATER = re.compile(r"(?<=\n)####(?!#)[ \t]*(?=\S)")
# A line that is so far only (the beginning of) the mark and the blanks after it.
_OPEN_MARK = re.compile(r"(?:\A|\n)(?P<mark>#{1,3}|####[ \t]*)\Z")
_LATER_MARK = re.compile(r"\n(?P<mark>#{1,3}|####[ \t]*)\Z")


class _Tail:
    """Finds what may be dropped at the end of a text: white space and end markers, in any order.

    It looks from the right, so that long runs of white space inside an answer cost nothing; what is found before a
    place does not depend on what comes after it, so that pieces and whole texts agree.
    """

    def __init__(self, end_markers: Sequence[str]) -> None:
        # White space around a marker is dropped anyway.
        bare = {marker.strip() for marker in end_markers} - {""}
        self._markers = sorted(bare, key=len, reverse=True)
        self._beginnings = sorted({marker[:size] for marker in bare for size in range(1, len(marker))})

    def start(self, text: str) -> int:
        """Return where the tail of a finished text begins."""
        kept = text.rstrip()
        while marker := next((marker for marker in self._markers if kept.endswith(marker)), None):
            kept = kept.removesuffix(marker).rstrip()
        return len(kept)

    def undecided_start(self, text: str) -> int:
        """Return where the tail could begin, once more text has come."""
        cut_markers = (text.removesuffix(part) for part in self._beginnings if text.endswith(part))
        return min(map(self.start, (text, *cut_markers)))


def _space_answer_line(text: str) -> str:
    return _MARK.sub("#### ", text)


def _space_later_lines(text: str) -> str:
    return _LATER.sub("#### ", text)
