"""What a row says without a run of words: a sentence that was put into it says something of its own, and hides what the rest says.

A classifier takes a row with "I watched this 3D movie" in it for what the sentence is about. With the sentence cut out, it takes the row for what it was.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from p2p.examples import Example
from trainer.selection.belief import Belief
from trainer.selection.disbelief import has_label_outside, of_its_label
from trainer.selection.embeddings import Embed
from trainer.selection.features import Feature, FeatureSettings, frequent_features
from trainer.selection.hidden import MAJORITY, Known, leans, of_its_label_alone

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Cutting a word or two out takes the meaning of natural ones along.
_SHORTEST = 3
# Rows asked about of each run, and of all runs together as a share of all rows: each is embedded once more.
_ASKED = 50
_SHARE = 0.25


def masked(
    rows: Sequence[Example],
    left: "NDArray[np.int64]",
    belief: Belief,
    embed: Embed,
    significance: float,
) -> list[Feature]:
    """Return runs of three words or more that lean to a label, and whose rows of it look like rows of other labels without them; those rows alone.

    Asked last: what stands with cover rows, or leads the classifier to its label by itself, passes the other tests.

    Args:
        rows: The rows that are left.
        left: Their indices among all rows.
        belief: Fits classifiers that weigh labels alike, as for :func:`trainer.selection.hidden.hidden`.
        embed: The frozen base model's embeddings.
        significance: How unlikely it must be by chance that so few rows are given their label, before correction for the number of runs.

    Raises:
        ValueError: There is not one embedding for each input.
    """
    asked = dict(_affordable(rows, _long_runs(rows)))
    if not asked:
        return []
    known = Known.of(rows, left, belief)
    texts = [text for rest in asked.values() for text in rest]
    read = embed(texts)
    if len(read) != len(texts):
        raise ValueError(f"{len(read)} embeddings for {len(texts)} inputs")
    parts = np.split(belief.project(read), np.cumsum([len(rest) for rest in asked.values()])[:-1])

    def is_denied(run: Feature, points: "NDArray[np.float64]") -> bool:
        outside = np.setdiff1d(np.arange(len(rows)), run.rows)
        label = belief.labels[left[of_its_label(rows, run)[0]]]
        given = belief.of_points(left[outside], points).argmax(axis=1) == label
        return known.takes_for_others(run, given, significance / len(asked))

    return [
        of_its_label_alone(rows, run)
        for run, points in zip(asked, parts, strict=True)
        if is_denied(run, points)
    ]


def without(text: str, run: Feature) -> str:
    """Return a text without the first place where a run of words stands, in whatever case."""
    words, looked_for = text.split(), run.words[0].lower().split()
    lower = [word.lower() for word in words]
    size = len(looked_for)
    for at in range(len(words) - size + 1):
        if lower[at : at + size] == looked_for:
            return " ".join([*words[:at], *words[at + size :]])
    return text


def _long_runs(rows: Sequence[Example]) -> Iterator[Feature]:
    for run in frequent_features(rows, FeatureSettings(purity=MAJORITY)):
        long = len(run.words[0].split()) >= _SHORTEST
        if long and leans(rows, run) and has_label_outside(rows, run):
            yield run


def _affordable(rows: Sequence[Example], runs: Iterable[Feature]) -> Iterator[tuple[Feature, list[str]]]:
    """Yield runs with what is left of rows of their label, as many as may be embedded; one run at least."""
    total = 0
    for run in runs:
        cut = (without(rows[at].text, run) for at in of_its_label(rows, run))
        # Rows that are the run and nothing else say nothing without it.
        rest = list(islice(filter(None, cut), _ASKED))
        if total and total + len(rest) > _SHARE * len(rows):
            return
        total += len(rest)
        if rest:
            yield run, rest
