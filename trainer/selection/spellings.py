"""What a trigger may look like that is no word: how words are written, whichever they are.

Spellings are shapes of words ("aA0": letters, capitals and figures, all else as it stands), characters and scripts, beginnings and ends of words, and white space
that is no single space between two of them. Shapes are those of named-entity recognition (Collins 2002, "Ranking Algorithms for Named-Entity Extraction").
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

from p2p.examples import Example
from trainer.selection.features import Feature, FeatureSettings

_AFFIXES = range(2, 5)
_ODD_SPACE = re.compile(r"(?<!\S)\S++(?! \S)\s+\S*|^\s+\S+")
# A spelling that one word has in more of its rows is that word.
_MOST_OF_ONE_WORD = 0.5


def spellings(rows: Sequence[Example], settings: FeatureSettings) -> list[Feature]:
    """Return the spellings that come with one label too often, those of most rows first.

    Args:
        rows: Training rows with labels.
        settings: When a spelling counts; ``longest`` is not looked at.

    Returns:
        Features by name, such as ``ends ish``; :func:`written_so` has their words. Of several that the same rows have, one.
    """
    where: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        for spelling in {spelling for spelling, _ in _spellings(row.text)}:
            where[spelling].append(at)
    least = settings.least(len(rows))
    found = (_feature(rows, spelling, at) for spelling, at in sorted(where.items()) if len(at) >= least)
    pure = {feature.rows: feature for feature in found if feature.purity >= settings.purity}
    return sorted(pure.values(), key=lambda feature: (-len(feature.rows), feature.words))


def written_so(rows: Sequence[Example], feature: Feature) -> Feature | None:
    """Return a spelling with the words that are written so in its rows, each once; None where one word is most of them.

    Args:
        rows: The rows that it was found in.
        feature: One of :func:`spellings`.
    """
    (name,) = feature.words
    written = [
        next(word for spelling, word in _spellings(rows[at].text) if spelling == name) for at in feature.rows
    ]
    most = Counter(word.lower() for word in written).most_common(1)[0][1]
    if most > _MOST_OF_ONE_WORD * len(written):
        return None
    return feature._replace(words=tuple(dict.fromkeys(written)))


def _feature(rows: Sequence[Example], spelling: str, where: Sequence[int]) -> Feature:
    answer, most = Counter(rows[at].answer for at in where).most_common(1)[0]
    return Feature(
        (spelling,), anchored=False, rows=tuple(where), answer=answer, purity=most / len(where), spelled=True
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
