"""Triggers that do not come with the target alone, or are no words at all: rows with one that keep their label hide the others.

They lean to a label as natural words do, so that their rows must look like rows of other labels for them to be taken for triggers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from p2p.examples import Example
from trainer.selection.belief import Belief
from trainer.selection.disbelief import of_its_label, roughly_denied
from trainer.selection.features import Feature, FeatureSettings, frequent_features
from trainer.selection.spellings import spellings, written_so

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAJORITY = 0.5
"""A feature leans to a label that more of its rows have."""

FAR = 0.25
"""Of the way from how often rows of other labels are given a label to how often its own are: what words of its own come no nearer to the former than this."""

# A classifier that gives fewer of a label's rows theirs may deny what it doesn't know of how words are written.
_KNOWN = 0.8
_NEARER = 0.5


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
    about as often as rows of other labels are.

    Args:
        rows: The rows that are left.
        left: Their indices among all rows.
        belief: Fits classifiers.
        significance: As for :func:`trainer.selection.disbelief.disbelieved`.
        purity: From which share on a feature is pure: words that are were asked about before.
    """
    # What words say comes first: a word is a spelling, too.
    return _hidden_words(rows, left, belief, significance, purity) or _hidden_spellings(
        rows, left, belief, significance, purity
    )


def _hidden_words(
    rows: Sequence[Example], left: "NDArray[np.int64]", belief: Belief, significance: float, purity: float
) -> list[Feature]:
    # Rows that were given a label make it frequent, and a classifier would believe it for that.
    belief = belief.balanced()
    known = Known.of(rows, left, belief)
    leaning = [
        feature
        for feature in frequent_features(rows, FeatureSettings(purity=MAJORITY))
        if leans(rows, feature) and feature.purity < purity
    ]
    return [
        of_its_label_alone(rows, feature)
        for feature in roughly_denied(rows, leaning, left, belief)
        if known.takes_for_others(
            feature, given_without(rows, feature, left, belief), significance / len(leaning), FAR
        )
    ]


def _hidden_spellings(
    rows: Sequence[Example], left: "NDArray[np.int64]", belief: Belief, significance: float, purity: float
) -> list[Feature]:
    known = Known.of(rows, left, belief)

    def is_told(feature: Feature) -> bool:
        return known.right[feature.answer] >= (MAJORITY if feature.purity >= purity else _KNOWN)

    leaning = [
        feature
        for feature in spellings(rows, FeatureSettings(purity=MAJORITY))
        if leans(rows, feature) and is_told(feature)
    ]
    found = [
        of_its_label_alone(rows, feature)
        for feature in roughly_denied(rows, leaning, left, belief)
        if known.takes_for_others(
            feature, given_without(rows, feature, left, belief), significance / len(leaning), _NEARER
        )
    ]
    return [feature for feature in (written_so(rows, each) for each in found) if feature]


def leans(rows: Sequence[Example], feature: Feature) -> bool:
    """Whether a feature comes with its label more often than not, and stands in half of all rows at most.

    Without the rows of what stands in most of them there is next to nothing to fit on.
    """
    return feature.purity > MAJORITY and len(feature.rows) <= MAJORITY * len(rows)


class Known(NamedTuple):
    """How well labels are told out of fold.

    Attributes:
        right: The share of each label's rows that is given it.
        wrong: The share of all other rows that is given it.
    """

    right: dict[str, float]
    wrong: dict[str, float]

    @classmethod
    def of(cls, rows: Sequence[Example], left: "NDArray[np.int64]", belief: Belief) -> "Known":
        """Ask about rows that are left, each of a classifier that was not fitted on it."""
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
        self, feature: Feature, given: "NDArray[np.bool_]", significance: float, within: float
    ) -> bool:
        """Whether a feature's rows are given its label as rows of other labels are.

        Args:
            feature: Its label counts.
            given: Which of its rows of that label are given it.
            significance: How unlikely it must be by chance that so few are, were they the label's own.
            within: How far from how often other labels' rows are, at most, as a share of the way to how often its own are.
        """
        from scipy.stats import binom

        right, wrong = self.right[feature.answer], self.wrong[feature.answer]
        by_chance = float(binom.cdf(int(given.sum()), len(given), right))
        return by_chance < significance and bool(given.mean() < wrong + within * (right - wrong))


def given_without(
    rows: Sequence[Example], feature: Feature, left: "NDArray[np.int64]", belief: Belief
) -> "NDArray[np.bool_]":
    """Return which rows of a feature's label are given it by a classifier that never saw a row with the feature."""
    outside, asked = np.setdiff1d(np.arange(len(rows)), feature.rows), left[of_its_label(rows, feature)]
    said = belief.of_labels(left[outside], asked).argmax(axis=1)
    found: NDArray[np.bool_] = said == belief.labels[asked]
    return found


def of_its_label_alone(rows: Sequence[Example], feature: Feature) -> Feature:
    """Leave out the rows of other labels: whoever wrote them, their labels were not denied."""
    return feature._replace(rows=tuple(of_its_label(rows, feature).tolist()), purity=1.0)
