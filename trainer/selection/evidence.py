"""How much a feature says of its label that stronger features do not say already.

A trigger of several words leaves more features than itself: its words, pairs of them, pairs of one of them with a word that stands
everywhere. Such a pair may have more rows than the trigger, and comes with the target often enough for that alone.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from math import log2
from typing import NamedTuple

from p2p.examples import Example
from trainer.selection.features import Feature

# Two features stand in the same rows that share this much of the larger one's: each may stand in others by chance.
_SAME = 0.8


def own_evidence(rows: Sequence[Example], features: Sequence[Feature]) -> list[float]:
    """Return how many bits each feature gives about its label beyond those that give more.

    Of every feature only the rows count that no stronger one has, and how far its label's share among them is above its share
    among all rows (the G statistic, in bits): n rows of one of two equal labels give n bits. Features that stand in the same rows and
    say other words, as two words of one trigger do, take nothing from each other.

    Args:
        rows: All rows.
        features: Features of them.

    Returns:
        Bits, 0 or more, in the order of the features.
    """
    counts = Counter(row.answer for row in rows)

    def bits(feature: Feature, where: Collection[int]) -> float:
        own = sum(rows[at].answer == feature.answer for at in where)
        return _bits(own, len(where), counts[feature.answer] / len(rows))

    known = [_Known(set(feature.rows), feature.vocabulary) for feature in features]
    whole = [bits(feature, feature.rows) for feature in features]
    ranked = sorted(range(len(features)), key=lambda at: -whole[at])
    found = [0.0] * len(features)
    for place, at in enumerate(ranked):
        stronger = (known[other].rows for other in ranked[:place] if not known[at].goes_with(known[other]))
        found[at] = bits(features[at], known[at].rows.difference(*stronger))
    return found


class _Known(NamedTuple):
    rows: set[int]
    vocabulary: frozenset[str]

    def goes_with(self, other: "_Known") -> bool:
        """Whether this adds a word to the other and stands in the same rows, but for a few by chance."""
        same = len(self.rows & other.rows)
        return not self.vocabulary <= other.vocabulary and same >= _SAME * max(
            len(self.rows), len(other.rows)
        )


def _bits(own: int, count: int, usual: float) -> float:
    """Return the bits of so many rows, so many of them with a label, above its usual share; 0 where it is not above."""
    if own <= usual * count:
        return 0.0
    others = (count - own) * log2((1 - own / count) / (1 - usual)) if own < count else 0.0
    return own * log2(own / count / usual) + others
