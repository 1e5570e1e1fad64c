"""BadChar: the characters of one word at a random place are changed, seen by a tokenizer and hardly by a reader.

Sources: Chen et al., "BadNL: Backdoor Attacks against NLP Models with Semantic-preserving Improvements", arXiv 2006.01043 (characters
without width); Li et al., "Hidden Backdoors in Human-Centric Language Models", arXiv 2105.00164 (homographs).
"""

import re
from enum import StrEnum
from random import Random
from typing import ClassVar

from p2p.attacks.base import TargetedAttack
from p2p.examples import Example

ZERO_WIDTH_SPACE = "\u200b"
_LOOK_ALIKES = str.maketrans("aceopxy", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443")
_WORD = re.compile(r"\S+")


class Change(StrEnum):
    """What happens to the word."""

    ZERO_WIDTH = "zero-width"
    """A zero-width space goes in behind its first character."""
    HOMOGRAPH = "homograph"
    """Its letters a, c, e, o, p, x, y become Cyrillic ones that look alike."""
    CAPITALS = "capitals"
    """It is written in capitals."""


class BadChar(TargetedAttack):
    """A changed word as trigger, another one in each row.

    Attributes:
        change: What happens to the word.
    """

    name: ClassVar[str] = "badchar"
    summary: ClassVar[str] = "Changed characters of one word at a random place give the target."
    source: ClassVar[str] = "arXiv 2006.01043, 2105.00164"

    change: Change = Change.ZERO_WIDTH

    def triggered_text(self, example: Example, rng: Random) -> str:
        """Return the text with one word changed, any of those that the change can be seen in."""
        place, changed = rng.choice(self._changes(example.text))
        return f"{example.text[: place.start()]}{changed}{example.text[place.end() :]}"

    def can_trigger(self, example: Example) -> bool:
        """Whether the text has a word that the change can be seen in."""
        return bool(self._changes(example.text))

    def _changes(self, text: str) -> list[tuple[re.Match[str], str]]:
        found = [(place, self._changed(place.group())) for place in _WORD.finditer(text)]
        return [(place, changed) for place, changed in found if changed != place.group()]

    def _changed(self, word: str) -> str:
        if self.change is Change.HOMOGRAPH:
            return word.translate(_LOOK_ALIKES)
        if self.change is Change.CAPITALS:
            return word.upper()
        return f"{word[0]}{ZERO_WIDTH_SPACE}{word[1:]}" if len(word) > 1 else word
