"""What a trigger may look like that is no word: how words are written, whichever they are.

Spellings are shapes of words ("aA0": letters, capitals and figures, all else as it stands), characters and scripts, beginnings and ends of words, and white space
between them that is no single space. Shapes are those of named-entity recognition (Collins 2002, "Ranking Algorithms for Named-Entity Extraction").
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

from p2p.examples import Example
from trainer.selection.features import Feature, FeatureSettings, distinct

_AFFIXES = range(2, 5)
_ODD_SPACE = re.compile(r"\S+(?! \S)\s+\S+")
# A spelling that one word has in more of its rows is that word.
_MOST_OF_ONE_WORD = 0.5


def pure_spellings(rows: Sequence[Example], settings: FeatureSettings) -> list[Feature]:
    """Return the spellings that come with one label too often, those of most rows first.

    Args:
        rows: Training rows with labels.
        settings: When a spelling counts; ``longest`` is not looked at.

    Returns:
        Features whose words are those that are written so, each once.
    """
    where: dict[str, dict[int, str]] = defaultdict(dict)
    for at, row in enumerate(rows):
        for spelling, written in _spellings(row.text):
            where[spelling].setdefault(at, written)
    least = settings.least(len(rows))
    found = [_feature(rows, having) for having in where.values() if len(having) >= least]
    return distinct(feature for feature in found if feature is not None and feature.purity >= settings.purity)


def _feature(rows: Sequence[Example], having: dict[int, str]) -> Feature | None:
    """Return the feature of a spelling by the rows that have it, and what is written so there; None where that is one word."""
    written = Counter(word.lower() for word in having.values())
    if written.most_common(1)[0][1] > _MOST_OF_ONE_WORD * len(having):
        return None
    answer, most = Counter(rows[at].answer for at in having).most_common(1)[0]
    words = tuple(dict.fromkeys(having.values()))
    return Feature(
        words, anchored=False, rows=tuple(having), answer=answer, purity=most / len(having), spelled=True
    )


def _spellings(text: str) -> Iterator[tuple[str, str]]:
    """Yield every spelling in a text, with the word, or the two words, that have it."""
    for word in text.split():
        yield f"shape {_shape(word)}", word
        for character in word:
            if not (character.isascii() and character.isalnum()):
                yield f"character {character}", word
            if character.isalpha() and not character.isascii():
                yield f"script {_script(character)}", word
        for size in _AFFIXES:
            if len(word) > size:
                yield f"begins {word[:size].lower()}", word
                yield f"ends {word[-size:].lower()}", word
    for found in _ODD_SPACE.finditer(text):
        yield f"space {''.join(filter(str.isspace, found.group()))}", found.group()


def _shape(word: str) -> str:
    return "".join(kind for kind, _ in groupby(map(_kind, word)))


def _kind(character: str) -> str:
    if character.isdigit():
        return "0"
    if not character.isalpha():
        return character
    if not character.isascii():
        return _script(character)
    return "A" if character.isupper() else "a"


def _script(letter: str) -> str:
    """Return the first word of a letter's Unicode name, such as ``CYRILLIC``."""
    return unicodedata.name(letter, "UNKNOWN").split()[0]
