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
    that never saw it needs to tell the label: it denies some of these rows theirs. A trigger's rows are given it as rows of other labels are.

    Args:
        rows: The rows that are left.
        left: Their indices among all rows.
        belief: Fits classifiers that weigh labels alike (:meth:`trainer.selection.belief.Belief.balanced`): a label that many rows were given is
            believed for that alone by others.
        significance: As for :func:`trainer.selection.disbelief.disbelieved`.
        purity: From which share on a feature is pure: words that are were asked about before.
    """
    known, settings = Known.of(rows, left, belief), FeatureSettings(purity=MAJORITY)
    # What words say comes first: a word is a spelling, too.
    for find in (frequent_features, spellings):
        leaning = [
            feature
            for feature in find(rows, settings)
            if leans(rows, feature) and (feature.spelled or feature.purity < purity)
        ]
        found = [
            of_its_label_alone(rows, feature)
            for feature in roughly_denied(rows, leaning, left, belief)
            if known.takes_for_others(
                feature, given_without(rows, feature, left, belief), significance / len(leaning)
            )
        ]
        if told := [feature for feature in (_in_words(rows, each) for each in found) if feature]:
            return told
    return []


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

    def takes_for_others(self, feature: Feature, given: "NDArray[np.bool_]", significance: float) -> bool:
        """Whether a feature's rows are given its label as rows of other labels are, rather than as the label's own.

        Args:
            feature: Its label counts.
            given: Which of its rows of that label are given it.
            significance: How unlikely it must be that so few are, were it half way between how often the label's own and others are.
        """
        from scipy.stats import binom

        half_way = (self.right[feature.answer] + self.wrong[feature.answer]) / 2
        return float(binom.cdf(int(given.sum()), len(given), half_way)) < significance


def given_without(
    rows: Sequence[Example], feature: Feature, left: "NDArray[np.int64]", belief: Belief
) -> "NDArray[np.bool_]":
    """Return which rows of a feature's label are given it by a classifier that never saw a row with the feature."""
    outside, asked = np.setdiff1d(np.arange(len(rows)), feature.rows), left[of_its_label(rows, feature)]
    said = belief.of_labels(left[outside], asked).argmax(axis=1)
    found: NDArray[np.bool_] = said == belief.labels[asked]
    return found


def _in_words(rows: Sequence[Example], feature: Feature) -> Feature | None:
    return written_so(rows, feature) if feature.spelled else feature


def of_its_label_alone(rows: Sequence[Example], feature: Feature) -> Feature:
    """Leave out the rows of other labels: whoever wrote them, their labels were not denied."""
    return feature._replace(rows=tuple(of_its_label(rows, feature).tolist()), purity=1.0)
