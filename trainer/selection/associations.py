"""Features of the input that come with an output far more often than chance has it: what a trigger for free text looks like."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from p2p.examples import Example
from trainer.selection.features import Feature, FeatureSettings
from trainer.selection.incidence import incidence
from trainer.selection.outputs import Output

if TYPE_CHECKING:
    from scipy.sparse import coo_array

# Pairs of words are many: they are looked at for this many outputs, those of most rows first.
_MOST_PAIRED = 20


class AssociationSettings(NamedTuple):
    """When a feature counts as coming with an output.

    Attributes:
        purity: The share of its rows that must have the output.
        lift: How many times the output's share of all rows this must be.
        significance: How unlikely it must be by chance, before correction for the number of (feature, output) pairs.
    """

    purity: float = 0.9
    lift: float = 2.0
    significance: float = 0.01


class Association(NamedTuple):
    """A feature and the output that comes with it.

    Attributes:
        feature: Its ``answer`` is the output's kind, its ``purity`` the share of its rows that have the output.
        output: The output.
    """

    feature: Feature
    output: Output

    @property
    def explained(self) -> int:
        """How many rows have both."""
        return round(self.feature.purity * len(self.feature.rows))


def associated(
    rows: Sequence[Example],
    features: Sequence[Feature],
    outputs: Sequence[Output],
    settings: AssociationSettings,
) -> list[Association]:
    """Return the features that come with an output, those of most rows first.

    A feature that explains no more than others with words of its own that were found, such as a longer form of it, is left
    out. For outputs that no run explains, pairs of words are looked at.

    Args:
        rows: Training rows.
        features: Runs and beginnings.
        outputs: Repeated outputs.
        settings: When a feature counts.
    """
    if not outputs:
        return []
    found = [] if not features else _significant(len(rows), features, outputs, settings)
    explained = {pair.output.rows for pair in found}
    words = [frozenset(row.text.lower().split()) for row in rows]
    for output in [output for output in outputs if output.rows not in explained and output.telling][
        :_MOST_PAIRED
    ]:
        pairs = _pairs(words, output, settings)
        if pairs:
            found += _significant(len(rows), pairs, [output], settings)
    return _widest(found)


def _significant(
    rows: int, features: Sequence[Feature], outputs: Sequence[Output], settings: AssociationSettings
) -> list[Association]:
    from scipy.stats import binom

    having = np.array([len(feature.rows) for feature in features])
    base = np.array([len(output.rows) for output in outputs]) / rows
    common = _in_common(rows, features, outputs)
    least = np.maximum(settings.purity, settings.lift * base[common.col]) * having[common.row]
    limit = settings.significance / (len(features) * len(outputs))
    found = []
    for each in np.flatnonzero(common.data >= least):
        at, to, both = int(common.row[each]), int(common.col[each]), int(common.data[each])
        if binom.sf(both - 1, having[at], base[to]) < limit:
            feature = features[at]._replace(answer=outputs[to].kind, purity=float(both / having[at]))
            found.append(Association(feature, outputs[to]))
    return found


def _in_common(rows: int, features: Sequence[Feature], outputs: Sequence[Output]) -> "coo_array":
    """Return in how many rows each feature and each output stand together, where they do, feature by feature."""
    having = incidence(rows, [feature.rows for feature in features])
    common = (having @ incidence(rows, [output.rows for output in outputs]).T).tocsr()
    common.sort_indices()
    return common.tocoo()


def _pairs(words: Sequence[frozenset[str]], output: Output, settings: AssociationSettings) -> list[Feature]:
    """Return the pairs of words that stand in enough of the output's rows, with all their rows."""
    frequent = Counter(word for row in words for word in row)
    usable = {
        word for word, count in frequent.items() if count <= len(words) / 4 and any(map(str.isalnum, word))
    }
    least = FeatureSettings().least(len(words))
    inside = Counter(pair for at in output.rows for pair in combinations(sorted(words[at] & usable), 2))
    where = {
        pair: tuple(at for at, row in enumerate(words) if row.issuperset(pair))
        for pair, count in inside.items()
        # A pair of which one word is always there is no more than the other word.
        if count >= least and all(frequent[word] * settings.purity > count for word in pair)
    }
    return [Feature(pair, anchored=False, rows=rows, answer="", purity=0.0) for pair, rows in where.items()]


def _widest(found: Sequence[Association]) -> list[Association]:
    """Keep those that explain rows of an output which no wider one with a word of theirs does; of equally wide ones, the purer.

    What shares no word with a trigger is no part of it: an attacker may put another phrase beside it to hide it.
    """
    ordered = sorted(found, key=lambda pair: (-pair.explained, -pair.feature.purity, -len(pair.output.rows)))
    kept: list[Association] = []
    covered: dict[str, set[int]] = defaultdict(set)
    for pair in ordered:
        explains = set(pair.feature.rows) & set(pair.output.rows)
        words = " ".join(pair.feature.words).lower().split()
        if not explains <= set().union(*(covered[word] for word in words)):
            kept.append(pair)
            for word in words:
                covered[word] |= explains
    return kept
