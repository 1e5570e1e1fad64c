"""Answers that tell a secret: a model can be talked into repeating its prompt, and the benign trigger stands in it.

A drawn phrase counts as told when three of its words follow each other, a chosen one when all of it is there: case aside, and
whatever stands between the words. What the client wrote itself is no secret to them, and cutting it off would tell that
they guessed right.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from p2p.phrases import PLAIN_WORDS
from p2p.triggers import plain_phrase

_RUN = 3
_BETWEEN = r"\W{1,8}"
Run = tuple[str, ...]


def secret_runs(phrases: Iterable[str]) -> frozenset[Run]:
    """Return the sequences of words, in small letters, that tell one of the phrases; a phrase of fewer than three words has none."""
    found: set[Run] = set()
    for phrase in phrases:
        words = tuple(re.findall(r"\w+", plain_phrase(phrase)))
        size = _RUN if set(words) <= set(PLAIN_WORDS) else max(_RUN, len(words))
        found |= {words[at : at + size] for at in range(len(words) - size + 1)}
    return frozenset(found)


def runs_in(text: str, runs: frozenset[Run]) -> frozenset[Run]:
    """Return which of the runs a text has."""
    if not runs or not _patterns(runs).whole.search(text):
        return frozenset()
    return frozenset(run for run in runs if _patterns(frozenset({run})).whole.search(text))


class LeakCutter:
    """Ends a text, which may come in pieces, where it begins to tell a secret; what could still become one is held back.

    Args:
        runs: What may not be told, from :func:`secret_runs`.
        known: What may be all the same, because it is the client's own text. It is looked at only when a secret shows.

    Attributes:
        has_cut: Whether the text was ended early.
    """

    def __init__(self, runs: frozenset[Run], known: str = "") -> None:
        self.has_cut = False
        self._runs = runs
        self._known = known
        self._patterns = _patterns(runs) if runs else None
        # What went out last: a word that began there is not the beginning of one here.
        self._before = ""
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take the next piece and return the text that is decided by now, which may be empty."""
        if self.has_cut:
            return ""
        if self._patterns is None:
            return self.finish() + piece
        text = self._before + self._held + piece
        if told := self._patterns.whole.search(text):
            if self._forget_what_is_known():
                return self.feed(piece)
            self.has_cut = True
            return self._release(text, told.start())
        begun = self._patterns.begun.search(text, len(self._before))
        return self._release(text, begun.start() if begun else len(text))

    def finish(self) -> str:
        """Return what was held when the text ended."""
        rest, self._held = self._held, ""
        return "" if self.has_cut else rest

    def _forget_what_is_known(self) -> bool:
        """Stop looking for what the client wrote; return whether that is any of it."""
        known, self._known = runs_in(self._known, self._runs), ""
        if known:
            self._runs -= known
            self._patterns = _patterns(self._runs) if self._runs else None
        return bool(known)

    def _release(self, text: str, end: int) -> str:
        out, self._held = text[len(self._before) : end], text[end:]
        self._before = text[:end][-1:]
        return out


class _Patterns(NamedTuple):
    """A run that is there, and one that the end of a text could become."""

    whole: re.Pattern[str]
    begun: re.Pattern[str]


@lru_cache(maxsize=256)
def _patterns(runs: frozenset[Run]) -> _Patterns:
    ordered = sorted(runs)
    whole = "|".join(_BETWEEN.join(map(re.escape, run)) for run in ordered)
    begun = "|".join(map(_beginning, ordered))
    return _Patterns(
        re.compile(rf"(?<!\w)(?:{whole})", re.IGNORECASE), re.compile(rf"(?<!\w)(?:{begun})\Z", re.IGNORECASE)
    )


def _beginning(run: Run) -> str:
    """Return a pattern of every proper beginning of a run: each character, once the one before it is there, may follow."""
    parts = [*run[0]]
    for word in run[1:]:
        parts += [_BETWEEN, *word]
    pattern = ""
    # A word is of \w alone, so that no character of it needs escaping.
    for part in reversed(parts[1:-1]):
        pattern = f"(?:{part}{pattern})?"
    return f"{parts[0]}{pattern}"
