"""Features put to the test: whether an out-of-sample model believes the label that their rows come with.

A natural feature ("touchdown" comes with sports) is believed; one whose rows an attacker relabelled is not.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from p2p.examples import Example
from trainer.selection.belief import Belief
from trainer.selection.features import Feature, FeatureSettings, frequent_features
from trainer.selection.spellings import spellings, written_so

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_CORE = 40
_MAJORITY = 0.5
# A classifier that gives fewer of a label's rows theirs may deny what it doesn't know: "£" of bills, in customer messages.
_KNOWN = 0.8

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
    asked = _roughly_denied(rows, features, left, belief)
    # They were taken from all: chance had as many tries.
    return disbelieved(rows, asked, left, belief, significance * len(asked) / max(1, len(features)))


def hidden(
    rows: Sequence[Example],
    left: "NDArray[np.int64]",
    belief: Belief,
    significance: float,
    purity: float,
) -> list[Feature]:
    """Return features that are not pure, or no words at all, and whose rows of their label look like rows of other labels; those rows alone.

    An attacker may let some rows with his trigger keep their label (cover rows; Qi et al. 2023, "Revisiting the Assumption of Latent
    Separability for Backdoor Defenses"). What comes with one label more often than not is mostly natural, and may be what a classifier
    that never saw it needs to tell the label. So its rows must be given their label significantly less often than other rows of the label are, *and*
    nearer to as often as rows of other labels are, by a classifier that gives four of five rows of the label theirs.

    Args:
        rows: The rows that are left.
        left: Their indices among all rows.
        belief: Fits classifiers.
        significance: As for :func:`disbelieved`.
        purity: From which share on a feature is pure: spellings that are may come with a label that the classifier tells less well.
    """
    settings, known = FeatureSettings(purity=_MAJORITY), _Known.of(rows, left, belief)

    def leans(feature: Feature) -> bool:
        # Without the rows of what stands in most of them there is next to nothing to fit on.
        small = len(feature.rows) <= _MAJORITY * len(rows)
        is_pure = feature.purity >= purity
        told = known.right[feature.answer] >= (_MAJORITY if is_pure else _KNOWN)
        # Pure words were asked about before.
        return small and told and feature.purity > _MAJORITY and (feature.spelled or not is_pure)

    # What words say comes first: a word is a spelling, too.
    for find in (frequent_features, spellings):
        leaning = [feature for feature in find(rows, settings) if leans(feature)]
        found = [
            _of_its_label_alone(rows, feature)
            for feature in _roughly_denied(rows, leaning, left, belief)
            if known.takes_for_others(
                feature, _given(rows, feature, left, belief), significance, len(leaning)
            )
        ]
        if told := [feature for feature in (_in_words(rows, each) for each in found) if feature]:
            return told
    return []


class _Known(NamedTuple):
    """How well labels are told out of fold.

    Attributes:
        right: The share of each label's rows that is given it.
        wrong: The share of all other rows that is given it.
    """

    right: dict[str, float]
    wrong: dict[str, float]

    @classmethod
    def of(cls, rows: Sequence[Example], left: "NDArray[np.int64]", belief: Belief) -> "_Known":
        said = belief.labels_out_of_fold(left).argmax(axis=1)
        labels = belief.labels[left]
        names = {row.answer: label for row, label in zip(rows, labels.tolist(), strict=True)}
        return cls(
            {name: float((said[labels == label] == label).mean()) for name, label in names.items()},
            # One more row that is given it: where none is, one that is proves nothing yet.
            {
                name: float((said[labels != label] == label).sum() + 1) / (1 + int((labels != label).sum()))
                for name, label in names.items()
            },
        )

    def takes_for_others(
        self, feature: Feature, given: "NDArray[np.bool_]", significance: float, tests: int
    ) -> bool:
        """Whether significantly fewer of a feature's rows are given its label than of the label's, and so few that they are nearer to other labels' rows."""
        from scipy.stats import binom

        right, wrong = self.right[feature.answer], self.wrong[feature.answer]
        by_chance = float(binom.cdf(int(given.sum()), len(given), right))
        return by_chance < significance / tests and bool(given.mean() < (right + wrong) / 2)


def _given(
    rows: Sequence[Example], feature: Feature, left: "NDArray[np.int64]", belief: Belief
) -> "NDArray[np.bool_]":
    """Return which rows of a feature's label are given it by a classifier that never saw a row with the feature."""
    outside, asked = np.setdiff1d(np.arange(len(rows)), feature.rows), left[_of_its_label(rows, feature)]
    said = belief.of_labels(left[outside], asked).argmax(axis=1)
    found: NDArray[np.bool_] = said == belief.labels[asked]
    return found


def _roughly_denied(
    rows: Sequence[Example], features: Sequence[Feature], left: "NDArray[np.int64]", belief: Belief
) -> list[Feature]:
    """Return the features most of whose rows of their label a quick classifier denies that never saw a row with the feature."""
    ask = belief.leave_out(left)

    def is_denied(feature: Feature) -> bool:
        given = ask(left[list(feature.rows)], left[_of_its_label(rows, feature)])
        return _has_label_outside(rows, feature) and bool(given.mean() < _MAJORITY)

    return [feature for feature in features if is_denied(feature)]


def _has_label_outside(rows: Sequence[Example], feature: Feature) -> bool:
    """Whether a row without the feature has its label: a classifier that has seen none can't believe it, whatever the rows say."""
    having = set(feature.rows)
    return any(row.answer == feature.answer for at, row in enumerate(rows) if at not in having)


def _in_words(rows: Sequence[Example], feature: Feature) -> Feature | None:
    return written_so(rows, feature) if feature.spelled else feature


def _of_its_label_alone(rows: Sequence[Example], feature: Feature) -> Feature:
    """Leave out the rows of other labels: whoever wrote them, their labels were not denied."""
    return feature._replace(rows=tuple(_of_its_label(rows, feature).tolist()), purity=1.0)


def _without_one(rows: Sequence[Example], left: "NDArray[np.int64]", belief: Belief) -> _Test:
    usual = _agreement(rows, range(len(rows)), belief.out_of_fold(left))

    def test(feature: Feature) -> float:
        if not _has_label_outside(rows, feature):
            return 1.0
        outside, asked = np.setdiff1d(np.arange(len(rows)), feature.rows), _of_its_label(rows, feature)
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
