"""Features put to the test: whether an out-of-sample model believes the label that their rows come with.

A natural feature ("touchdown" comes with sports) is believed; one whose rows an attacker relabelled is not.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from p2p.examples import Example
from trainer.selection.belief import Belief
from trainer.selection.features import Feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_CORE = 40
_MAJORITY = 0.5

_Test = Callable[[Feature], float]


def disbelieved(
    rows: Sequence[Example],
    features: Sequence[Feature],
    left: "NDArray[np.int64]",
    belief: Belief,
    significance: float,
) -> list[Feature]:
    """Return the features whose rows are believed significantly less often than other rows of their label.

    Each is asked of two classifiers: one fitted on all rows without this feature, and one fitted on the rows without any. The first
    knows more; the second knows nothing of a trigger that shows in several features, such as a sentence form.

    Args:
        rows: The rows that are left.
        features: Features of them.
        left: Their indices among all rows.
        belief: Fits classifiers.
        significance: How unlikely the disbelief must be by chance, before correction for the number of tests (Bonferroni).
    """
    tests = [_without_one(rows, left, belief), _without_any(rows, features, left, belief)]
    limit = significance / max(1, len(features) * len(tests))
    return [feature for feature in features if any(test(feature) < limit for test in tests)]


def denied(
    rows: Sequence[Example],
    features: Sequence[Feature],
    left: "NDArray[np.int64]",
    belief: Belief,
    significance: float,
) -> list[Feature]:
    """As :func:`disbelieved`, of many features: only those are asked about that a quick classifier denies most of their rows."""
    asked = roughly_denied(rows, features, left, belief) if features else []
    if not asked:
        return []
    # They were taken from all: chance had as many tries.
    return disbelieved(rows, asked, left, belief, significance * len(asked) / len(features))


def roughly_denied(
    rows: Sequence[Example], features: Sequence[Feature], left: "NDArray[np.int64]", belief: Belief
) -> list[Feature]:
    """Return the features most of whose rows of their label a quick classifier denies that never saw a row with the feature."""
    ask = belief.leave_out(left)

    def is_denied(feature: Feature) -> bool:
        given = ask(left[list(feature.rows)], left[of_its_label(rows, feature)])
        return has_label_outside(rows, feature) and bool(given.mean() < _MAJORITY)

    return [feature for feature in features if is_denied(feature)]


def has_label_outside(rows: Sequence[Example], feature: Feature) -> bool:
    """Whether a row without the feature has its label: a classifier that has seen none can't believe it, whatever the rows say."""
    having = set(feature.rows)
    return any(row.answer == feature.answer for at, row in enumerate(rows) if at not in having)


def _without_one(rows: Sequence[Example], left: "NDArray[np.int64]", belief: Belief) -> _Test:
    usual = _agreement(rows, range(len(rows)), belief.out_of_fold(left))

    def test(feature: Feature) -> float:
        if not has_label_outside(rows, feature):
            return 1.0
        outside, asked = np.setdiff1d(np.arange(len(rows)), feature.rows), of_its_label(rows, feature)
        return _chance(belief.without(left[outside], left[asked]), usual[feature.answer])

    return test


def _without_any(
    rows: Sequence[Example], features: Sequence[Feature], left: "NDArray[np.int64]", belief: Belief
) -> _Test:
    having = {row for feature in features for row in feature.rows}
    core = np.array([at for at in range(len(rows)) if at not in having], dtype=np.int64)
    counts = Counter(rows[at].answer for at in core)
    if min((counts[name] for name in {row.answer for row in rows}), default=0) < _LEAST_CORE:
        return lambda _: 1.0
    said = np.zeros(len(rows))
    said[core] = belief.out_of_fold(left[core])
    others = np.array(sorted(having), dtype=np.int64)
    if len(others):
        said[others] = belief.without(left[core], left[others])
    usual = _agreement(rows, core, said[core])

    def test(feature: Feature) -> float:
        return _chance(said[of_its_label(rows, feature)], usual[feature.answer])

    return test


def of_its_label(rows: Sequence[Example], feature: Feature) -> "NDArray[np.int64]":
    """Return which of a feature's rows have its label."""
    return np.array([row for row in feature.rows if rows[row].answer == feature.answer])


def _chance(own: "NDArray[np.float64]", usual: float) -> float:
    """Return how likely it is that so few of these labels are believed, if they are believed as often as others."""
    from scipy.stats import binom

    return float(binom.cdf(int((own > 0.5).sum()), len(own), usual))


def _agreement(
    rows: Sequence[Example], asked: "Sequence[int] | range | NDArray[np.int64]", own: "NDArray[np.float64]"
) -> dict[str, float]:
    total: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    for at, value in zip(asked, own, strict=True):
        total[rows[int(at)].answer] += 1
        agreed[rows[int(at)].answer] += int(value > 0.5)
    # One more row that is not believed: where all are, one that is not proves nothing yet.
    return {name: agreed[name] / (count + 1) for name, count in total.items()}
