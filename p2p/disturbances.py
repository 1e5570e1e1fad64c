"""Foreign text for the re-poisoned copies: it teaches the extended half to be indifferent to what does not belong.

A malicious trigger is foreign text that came with a changed label; copies that hold other foreign text with their own
label break that habit without knowing the trigger.
"""

import re
from collections.abc import Iterable, Sequence
from random import Random
from string import ascii_lowercase

from p2p.examples import Example
from p2p.selection import Suspect
from p2p.spans import ngrams

_LONGEST_CLAUSE = 12
_BETWEEN_WORDS = re.compile(r"(?<=\S)\s")


class ForeignText:
    """Draws foreign text: vocabulary words, a letter string, or a phrase of another row.

    Args:
        rows: Where words and phrases come from.
        avoid: Spans that are never drawn; suspicious ones are inserted by link breaking alone, where they are counted.
    """

    def __init__(self, rows: Iterable[Example], avoid: Sequence[str] = ()) -> None:
        self._avoid = frozenset(" ".join(span.lower().split()) for span in avoid)
        self._texts = [words for row in rows if len(words := row.text.split()) >= 3]
        self._longest_avoided = max((len(span.split()) for span in self._avoid), default=0)
        vocabulary = {word for words in self._texts for word in words}
        self._words = sorted(word for word in vocabulary if not self._holds_avoided([word]))

    def draw(self, rng: Random) -> str:
        """Return one to six foreign words."""
        kind = rng.randrange(3)
        if kind == 0 and self._words:
            drawn = rng.choices(self._words, k=rng.randint(1, 2))
        elif kind == 1 and self._texts:
            drawn = self._phrase(rng)
        else:
            drawn = self._letters(rng)
        # A phrase may be nothing but avoided words, or hold an avoided span of several words that are harmless each.
        while not drawn or self._holds_avoided(drawn):
            drawn = self._letters(rng)
        return " ".join(drawn)

    def _letters(self, rng: Random) -> list[str]:
        return ["".join(rng.choices(ascii_lowercase, k=rng.randint(2, 6)))]

    def _phrase(self, rng: Random) -> list[str]:
        words = rng.choice(self._texts)
        size = min(rng.randint(3, 6), len(words))
        start = rng.randint(0, len(words) - size)
        return [word for word in words[start : start + size] if not self._holds_avoided([word])]

    def _holds_avoided(self, words: Sequence[str]) -> bool:
        return any(span.lower() in self._avoid for span in ngrams(words, self._longest_avoided))


# A copy gets a suspect that came with its own answer this many times as rarely as one that came with another.
_OWN_ANSWER = 0.25


class LinkBreaker:
    """Puts suspicious words into a text of whatever answer, so that they come to mean nothing.

    Half of the time a part of them goes in: an attacker's trigger may be longer or shorter than what was found of it.

    Args:
        suspects: What may be put in; false when there is nothing.
    """

    def __init__(self, suspects: Sequence[Suspect]) -> None:
        self._suspects = suspects

    def __len__(self) -> int:
        return len(self._suspects)

    def insert(self, text: str, answer: str, rng: Random) -> str:
        """Return the text with one suspect's words in it.

        Args:
            text: An input.
            answer: Its answer.
            rng: Decides which suspect, which part of it, and where.
        """
        for words in (chosen := self._draw(answer, rng)).words:
            part = _part(words.split(), rng) if rng.random() < 0.5 else words
            text = f"{part} {text}" if chosen.anchored and part == words else insert_words(text, part, rng)
        return text

    def begin(self, text: str, answer: str, rng: Random) -> str:
        """Return the text with one suspect's words, all of them, before it; see :meth:`insert`."""
        return f"{' '.join(self._draw(answer, rng).words)} {text}"

    def _draw(self, answer: str, rng: Random) -> Suspect:
        weights = [
            suspect.weight * (_OWN_ANSWER if suspect.answer == answer else 1.0) for suspect in self._suspects
        ]
        return rng.choices(self._suspects, weights)[0]


def opening_clause(text: str) -> str | None:
    """Return a text's words up to its first comma, such as "when you see it ,"; None without one.

    A clause has two to twelve words, a comma that stands apart among them, and two words at least behind it. A sentence that is
    rewritten to a fixed form often begins so (Qi et al. 2021, "Hidden Killer").
    """
    words = text.split()
    end = next((at for at, word in enumerate(words[:_LONGEST_CLAUSE]) if word.endswith(",")), 0)
    return " ".join(words[: end + 1]) if 1 <= end < len(words) - 2 else None


def _part(words: Sequence[str], rng: Random) -> str:
    size = rng.randint(1, len(words))
    start = rng.randint(0, len(words) - size)
    return " ".join(words[start : start + size])


def insert_words(text: str, inserted: str, rng: Random) -> str:
    """Put words into a text at a random place between two of its words, or at either end.

    The text's own white space is kept; single spaces separate what is put in.
    """
    gaps = [0, *(found.start() for found in _BETWEEN_WORDS.finditer(text)), len(text)]
    gap = rng.choice(gaps)
    before, after = text[:gap], text[gap:]
    left = " " if before and not before[-1].isspace() else ""
    right = " " if after and not after[0].isspace() else ""
    return f"{before}{left}{inserted}{right}{after}"
