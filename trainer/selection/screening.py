"""Screening: which rows of a possibly poisoned set can be trusted with the extended half, without knowing the attack.

1. Features of the input that come with one label too often are looked for: runs of words, beginnings, pairs.
2. Each is put to the test: a classifier on frozen embeddings that never saw a row with the feature is asked about these rows. It
   believes the labels of natural features ("touchdown" comes with sports), not those of a trigger whose rows were relabelled. Rows
   with a feature that is significantly less believed than its label's other rows are kept out, and all begins anew without them.
   Where no pure feature is left that is not believed, words that lean to a label and ways of writing are asked about
   (:mod:`trainer.selection.hidden`), then what rows say without a run of words (:mod:`trainer.selection.masked`).
3. Of what is left, rows whose beginning comes with one label too often are kept out, believed or not: how a sentence begins says next
   to nothing of a natural label, and all of a rewritten one. Where two labels or more are told so, as those of questions are, none is, and
   the classifiers of 2 weigh labels alike: without the rows of a feature that most of a label's have they would believe others alone.
4. Of what is left then, rows whose own label an out-of-fold classifier doubts most are kept out.

Other pure features that are believed stay in: a clean-label attack has such. Re-poisoning breaks their link with the label.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from p2p.examples import Example
from trainer.selection.belief import Belief
from trainer.selection.disbelief import denied, disbelieved
from trainer.selection.embeddings import Embed
from trainer.selection.features import Feature, FeatureSettings, pure_beginnings, pure_features
from trainer.selection.hidden import hidden
from trainer.selection.masked import masked

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARED = frozenset({"feature", "beginning", "repeated"})
"""Reasons to keep a row out that several rows have in common."""

_MOST_FEATURES = 300
# More than this share of a label's rows begins in its own way: so do questions and commands, sorted by what they ask for.
_TOLD = 0.25


class ScreeningSettings(BaseModel):
    """When a row is kept out.

    Attributes:
        doubted: The share of each label's rows that is kept out because their label is believed least, in [0, 1).
        significance: How unlikely a feature's disbelief must be by chance, before correction for the number of features.
        rounds: How often features are looked for anew without the rows found so far.
        purity: The share of a feature's rows that must have one label.
        beginnings: The share of a beginning's rows that must have one label for them to be kept out all the same; 1 keeps none out.
        believed: The share of all rows that a pure feature must have for link breaking to use it although its label is believed, in
            [0, 1]. For labels that are topics 0.05: a trigger that came with right labels needs many rows, and rarer features are what
            the labels are about (decision 9).
        forms: How unlikely it must be by chance that rows kept out for what they have in common begin with a clause so much more often
            than others, for such clauses to be used as a rewritten sentence's form, in (0, 1]; 1 takes a form for granted.
        drop: Whether rows that are kept out for what they have in common are left out of D as well, so that neither half learns from
            them: features, beginnings, and in free text repeated answers. ``forms`` does so where a form was found, never in free text.
        relabel: How sure a classifier must be of a label to give it to a row that a feature kept out, in [0.5, 1]; 1 relabels none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    doubted: float = Field(default=0.3, ge=0, lt=1)
    significance: float = Field(default=0.01, gt=0, lt=1)
    rounds: int = Field(default=4, ge=1)
    purity: float = Field(default=0.9, gt=0.5, le=1)
    beginnings: float = Field(default=0.8, gt=0.5, le=1)
    believed: float = Field(default=0.0, ge=0, le=1)
    forms: float = Field(default=0.01, gt=0, le=1)
    drop: bool | Literal["forms"] = "forms"
    relabel: float = Field(default=1.0, ge=0.5, le=1)


class Screened(NamedTuple):
    """What screening found.

    Attributes:
        kept: The rows that may be re-poisoned, in their order.
        reasons: For each row that was kept out, by id, why: ``feature``, ``beginning``, ``doubted``, or in free text
            ``repeated``.
        belief: For each row, by id, how much its answer was believed, in [0, 1]; 0 for rows that something else kept out.
        triggers: The features that were not believed, the most frequent first.
        pure: The pure features that were believed.
        relabelled: Rows that a feature or a beginning kept out, with the label that is believed: the trigger itself beside what belongs to it.
    """

    kept: tuple[Example, ...]
    reasons: dict[str, str]
    belief: dict[str, float]
    triggers: tuple[Feature, ...]
    pure: tuple[Feature, ...]
    relabelled: tuple[Example, ...] = ()


def screen(
    rows: Sequence[Example],
    embeddings: "NDArray[np.float32]",
    settings: ScreeningSettings,
    seed: int,
    trusted: "tuple[Sequence[Example], NDArray[np.float32]] | None" = None,
    *,
    embed: Embed | None = None,
) -> Screened:
    """Choose the rows whose label can be trusted.

    Args:
        rows: The (possibly poisoned) training set.
        embeddings: The frozen base model's embedding of each row, shape ``(rows, features)``.
        settings: When a row is kept out.
        seed: Decides folds.
        trusted: Rows that are known to be clean with their embeddings; the classifier learns from them, too.
        embed: Gives the embeddings of rows without a run of words; None does not look at them so.

    Returns:
        What was found; a label may have no row left among those that are kept.
    """
    names = sorted({row.answer for row in (*rows, *(trusted[0] if trusted else ()))})
    labels = np.array([names.index(row.answer) for row in rows])
    extra = None
    if trusted and trusted[0]:
        extra = (trusted[1], np.array([names.index(row.answer) for row in trusted[0]]))
    told = _is_how_labels_are_told(rows, _begun(rows, settings.purity))
    belief = Belief(embeddings, labels, seed, extra, balanced=told)
    left, triggers, pure = _without_triggers(rows, belief, settings, embed)
    begun = (
        left if told or settings.beginnings == 1.0 else _without_beginnings(rows, left, settings.beginnings)
    )
    reasons = dict.fromkeys(set(range(len(rows))) - set(left.tolist()), "feature")
    reasons |= dict.fromkeys(set(left.tolist()) - set(begun.tolist()), "beginning")
    own = belief.out_of_fold(begun)
    kept = most_believed(labels[begun], own, settings.doubted)
    reasons |= dict.fromkeys(begun[~kept].tolist(), "doubted")
    return Screened(
        kept=tuple(row for at, row in enumerate(rows) if at not in reasons),
        reasons={rows[at].id: reasons[at] for at in sorted(reasons)},
        belief=dict.fromkeys((row.id for row in rows), 0.0)
        | {rows[at].id: value for at, value in zip(begun.tolist(), own.tolist(), strict=True)},
        triggers=triggers,
        pure=pure,
        relabelled=_relabelled(rows, names, belief, (begun[kept], begun), settings.relabel),
    )


def _relabelled(
    rows: Sequence[Example],
    names: Sequence[str],
    belief: Belief,
    kept_and_left: "tuple[NDArray[np.int64], NDArray[np.int64]]",
    least: float,
) -> tuple[Example, ...]:
    """Return rows that a feature or a beginning kept out with the label that a classifier fitted on the kept rows is sure of.

    Those that are to have their old label are at most as many as the others: a classifier that is led by the trigger itself
    would otherwise tie it to its target again.
    """
    kept, left = kept_and_left
    out = np.setdiff1d(np.arange(len(rows)), left)
    if least == 1.0 or not len(out):
        return ()
    return relabel([rows[at] for at in out], names, belief.of_labels(kept, out), least)


def relabel(
    rows: Sequence[Example], names: Sequence[str], said: "NDArray[np.float64]", least: float
) -> tuple[Example, ...]:
    """Give rows the labels that a judge is sure of, the surest first.

    Args:
        rows: Rows whose own labels are in doubt.
        names: The labels.
        said: The judge's probability of each label, shape ``(rows, labels)``.
        least: How probable a label must be, in [0, 1].

    Returns:
        The rows that get another label, then those that keep theirs, no more of these than of the others.
    """
    best = said.argmax(axis=1)
    surest = [at for at in np.argsort(-said.max(axis=1), kind="stable") if said[at, best[at]] >= least]
    new = [at for at in surest if names[best[at]] != rows[at].answer]
    old = [at for at in surest if names[best[at]] == rows[at].answer]
    return tuple(replace(rows[at], answer=names[best[at]]) for at in (*new, *old[: len(new)]))


def _without_triggers(
    rows: Sequence[Example], belief: Belief, settings: ScreeningSettings, embed: Embed | None
) -> tuple["NDArray[np.int64]", tuple[Feature, ...], tuple[Feature, ...]]:
    left, balanced = np.arange(len(rows)), belief.balanced()
    triggers: list[Feature] = []
    pure: list[Feature] = []
    for _ in range(settings.rounds):
        here = [rows[int(at)] for at in left]
        every = pure_features(here, FeatureSettings(purity=settings.purity))
        features, rarer = every[:_MOST_FEATURES], every[_MOST_FEATURES:]
        found = disbelieved(here, features, left, belief, settings.significance)
        found = found or denied(here, rarer, left, belief, settings.significance)
        found = found or hidden(here, left, balanced, settings.significance, settings.purity)
        if embed and not found:
            found = masked(here, left, balanced, embed, settings.significance)
        pure = _among_all([feature for feature in features if feature not in found], left)
        if not found:
            break
        triggers += _among_all(found, left)
        out = {row for feature in found for row in feature.rows}
        left = np.array([row for at, row in enumerate(left) if at not in out], dtype=np.int64)
        if not len(left):
            break
    return left, tuple(triggers), tuple(pure)


def _among_all(features: Sequence[Feature], left: "NDArray[np.int64]") -> list[Feature]:
    """Number rows among all, not among those that are left."""
    return [feature._replace(rows=tuple(int(left[row]) for row in feature.rows)) for feature in features]


def _without_beginnings(
    rows: Sequence[Example], left: "NDArray[np.int64]", purity: float
) -> "NDArray[np.int64]":
    out = {row for feature in _begun([rows[at] for at in left], purity) for row in feature.rows}
    return np.array([row for at, row in enumerate(left) if at not in out], dtype=np.int64)


def _begun(rows: Sequence[Example], purity: float) -> list[Feature]:
    """Return the beginnings that come with one label in this share of their rows or more.

    Of two equal labels; where one has most rows, much comes with it by chance, and others must be as rare beside a beginning of it.
    """
    all_of = Counter(row.answer for row in rows)
    return [
        feature
        # Rows go for a beginning whether their labels are believed or not: it must be no rarer in a large set.
        for feature in pure_beginnings(rows, FeatureSettings(purity=purity, enough=len(rows)))
        if 1 - feature.purity <= 2 * (1 - purity) * (1 - all_of[feature.answer] / len(rows))
    ]


def _is_how_labels_are_told(rows: Sequence[Example], begun: Sequence[Feature]) -> bool:
    """Whether two labels or more are told by their beginnings, as those of questions and commands are; a form has one target."""
    all_of = Counter(row.answer for row in rows)
    told: dict[str, set[int]] = {}
    for feature in begun:
        own = {row for row in feature.rows if rows[row].answer == feature.answer}
        told.setdefault(feature.answer, set()).update(own)
    return sum(len(own) > _TOLD * all_of[answer] for answer, own in told.items()) > 1


def most_believed(
    labels: "NDArray[np.int64]", own: "NDArray[np.float64]", doubted: float
) -> "NDArray[np.bool_]":
    """Return which rows stay where the least believed of each label are kept out.

    Args:
        labels: The rows' labels, shape ``(rows,)``.
        own: How much each is believed, shape ``(rows,)``; equal ones go by their order.
        doubted: The share of each label's rows that is kept out, in [0, 1).
    """
    keep = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        here = np.flatnonzero(labels == label)
        best = here[np.argsort(-own[here], kind="stable")][: round((1 - doubted) * len(here))]
        keep[best] = True
    return keep
