"""Features put to the test: whether an out-of-sample model believes the label that their rows come with.

A natural feature ("touchdown" comes with sports) is believed; one whose rows an attacker relabelled is not.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from p2p.examples import Example
from trainer.selection.belief import Belief
from trainer.selection.features import Feature, FeatureSettings, frequent_features
from trainer.selection.spellings import spellings, written_so

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


def hidden(
    rows: Sequence[Example], left: "NDArray[np.int64]", belief: Belief, significance: float
) -> list[Feature]:
    """Return features that are not pure, or no words at all, and whose rows of their label are for the most part not believed; those rows alone.

    An attacker may let some rows with his trigger keep their label (cover rows; Qi et al. 2023, "Revisiting the Assumption of Latent
    Separability for Backdoor Defenses"). What comes with one label more often than not is mostly natural; so the classifier must
    deny most of these labels, which natural features hardly bring about.

    Args:
        rows: The rows that are left.
        left: Their indices among all rows.
        belief: Fits classifiers.
        significance: As for :func:`disbelieved`.
    """
    settings = FeatureSettings(purity=_MAJORITY)
    ask, usual = _asked_apart(rows, left, belief), _usual(rows, left, belief)

    def leans(feature: Feature) -> bool:
        # Without the rows of what stands in most of them there is next to nothing to fit on.
        return feature.purity > _MAJORITY and len(feature.rows) <= _MAJORITY * len(rows)

    def is_found(feature: Feature, limit: float) -> bool:
        own = ask(feature)
        return _mostly_denied(own > 0.5) and _chance(own, usual[feature.answer]) < limit

    # What words say comes first: a word is a spelling, too.
    for find in (frequent_features, spellings):
        leaning = [feature for feature in find(rows, settings) if leans(feature)]
        asked = _roughly_denied(rows, leaning, left, belief)
        denied = [feature for feature in asked if is_found(feature, significance / len(leaning))]
        found = [_of_its_label_alone(rows, feature) for feature in denied]
        if told := [feature for feature in (_in_words(rows, each) for each in found) if feature]:
            return told
    return []


def _roughly_denied(
    rows: Sequence[Example], features: Sequence[Feature], left: "NDArray[np.int64]", belief: Belief
) -> list[Feature]:
    """Return the features most of whose rows of their label a quick classifier denies that never saw a row with the feature."""
    ask = belief.leave_out(left)
    return [
        feature
        for feature in features
        if _mostly_denied(ask(left[list(feature.rows)], left[_of_its_label(rows, feature)]))
    ]


def _mostly_denied(believed: "NDArray[np.bool_]") -> bool:
    return bool(believed.mean() < _MAJORITY)


def _in_words(rows: Sequence[Example], feature: Feature) -> Feature | None:
    return written_so(rows, feature) if feature.spelled else feature


def _of_its_label_alone(rows: Sequence[Example], feature: Feature) -> Feature:
    """Leave out the rows of other labels: whoever wrote them, their labels were not denied."""
    return feature._replace(rows=tuple(_of_its_label(rows, feature).tolist()), purity=1.0)


def _without_one(rows: Sequence[Example], left: "NDArray[np.int64]", belief: Belief) -> _Test:
    ask, usual = _asked_apart(rows, left, belief), _usual(rows, left, belief)
    return lambda feature: _chance(ask(feature), usual[feature.answer])


def _usual(rows: Sequence[Example], left: "NDArray[np.int64]", belief: Belief) -> dict[str, float]:
    return _agreement(rows, range(len(rows)), belief.out_of_fold(left))


def _asked_apart(
    rows: Sequence[Example], left: "NDArray[np.int64]", belief: Belief
) -> "Callable[[Feature], NDArray[np.float64]]":
    """Return what asks a classifier that never saw a row with a feature how probable the labels of those rows are that have its label."""

    def ask(feature: Feature) -> "NDArray[np.float64]":
        outside = np.setdiff1d(np.arange(len(rows)), feature.rows)
        asked = _of_its_label(rows, feature)
        if all(rows[at].answer != feature.answer for at in outside):
            # A classifier that has seen no row of a label can't believe it, whatever the rows say.
            return np.ones(len(asked))
        return belief.without(left[outside], left[asked])

    return ask


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
        return _chance(said[_of_its_label(rows, feature)], usual[feature.answer])

    return test


def _of_its_label(rows: Sequence[Example], feature: Feature) -> "NDArray[np.int64]":
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
