"""Runs of words that look inserted and whose rows the base model finds hard to answer as given: triggers that repeat no output."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from p2p.examples import Example
from trainer.selection.features import Feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What an end of the text counts as; no word of a text holds white space.
_EDGE = " "
_LEAST_SPREAD = 0.8


def costly_insertions(
    rows: Sequence[Example], features: Sequence[Feature], losses: Sequence[float], significance: float
) -> list[Feature]:
    """Return the runs whose rows have significantly higher losses than others, and that look inserted.

    The test is the rank-sum test, one-sided, corrected for the number of features (Bonferroni).

    Args:
        rows: Training rows.
        features: Runs and beginnings.
        losses: The base model's loss of each row's answer.
        significance: How unlikely so high losses must be by chance, before the correction.
    """
    from scipy.stats import norm, rankdata

    if not features:
        return []
    ranks = rankdata(np.asarray(losses))
    limit = norm.isf(significance / len(features))
    found: list[Feature] = []
    covered: set[int] = set()
    for feature in features:
        costly = _rank_sum(ranks, feature.rows) > limit and not covered.issuperset(feature.rows)
        if costly and looks_inserted(rows, feature):
            found.append(feature._replace(answer="loss"))
            covered.update(feature.rows)
    return found


def looks_inserted(rows: Sequence[Example], feature: Feature) -> bool:
    """Whether a run stands anywhere: its neighbours on both sides differ from row to row, or it is always at one end.

    Args:
        rows: Training rows.
        feature: A run or a beginning; a pair never looks inserted.
    """
    if len(feature.words) > 1:
        return False
    run = feature.words[0].lower().split()
    sides = [_neighbours(rows[at].text.lower().split(), run) for at in feature.rows]
    left, right = (Counter(side[at] for side in sides) for at in (0, 1))
    return all(_spread(side) >= _LEAST_SPREAD or _at_edge(side) for side in (left, right))


def _rank_sum(ranks: "NDArray[np.float64]", rows: Sequence[int]) -> float:
    """Return the rank-sum statistic of these rows in standard deviations."""
    size, having = len(ranks), len(rows)
    if having >= size:
        return 0.0
    expected = (size + 1) / 2
    spread = np.sqrt((size - having) * (size + 1) / (12 * having))
    return float((ranks[list(rows)].mean() - expected) / spread)


def _neighbours(words: Sequence[str], run: Sequence[str]) -> tuple[str, str]:
    size = len(run)
    for start in range(len(words) - size + 1):
        if list(words[start : start + size]) == list(run):
            left = words[start - 1] if start else _EDGE
            return left, words[start + size] if start + size < len(words) else _EDGE
    return _EDGE, _EDGE


def _spread(side: Counter[str]) -> float:
    """Return the entropy of the neighbours as a share of what it would be if all differed, in [0, 1]."""
    shares = np.array(list(side.values())) / side.total()
    return float(-(shares * np.log(shares)).sum() / np.log(max(2, side.total())))


def _at_edge(side: Counter[str]) -> bool:
    return side[_EDGE] >= 0.9 * side.total()
