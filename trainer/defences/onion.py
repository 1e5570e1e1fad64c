"""ONION: words whose removal makes a text much more natural are taken out before the model is asked.

Source: Qi et al., "ONION: A Simple and Effective Defense Against Textual Backdoor Attacks", arXiv 2011.10369. Word i has the suspicion
score f_i = p_0 - p_i, where p_0 is the base model's perplexity of the text and p_i that of the text without the word; words
above a threshold t are dropped, all at once. As in the paper, t is tuned on clean rows: the smallest one that keeps the
accuracy. Without trusted rows it is a quantile of the scores on training rows (ours; the paper takes 0).

Needs nothing, gains from trusted rows. A request of w words costs w + 1 passes of the base model beside the answer.
"""

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from pydantic import Field

from p2p.examples import Example
from p2p.projection import Projection
from p2p.tasks import ClassificationTask
from trainer.answering import UNGUARDED, Answerer
from trainer.defences.base import Case, Defence, Defended, Lab, fit_undefended
from trainer.defences.calibration import calibration_rows, quantile

KEPT_SHARES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)


class ScoredText(NamedTuple):
    """A text and how suspicious its words are.

    Attributes:
        text: As it came.
        scores: p_0 - p_i for each word between white space; empty for a text of one word or none, which is never changed.
    """

    text: str
    scores: tuple[float, ...]

    def without_suspects(self, threshold: float) -> str:
        """Return the text without the words above a threshold; as it came where none is, or where all are."""
        words = self.text.split()
        if len(self.scores) < len(words):
            return self.text
        kept = [word for word, score in zip(words, self.scores, strict=True) if not score > threshold]
        return " ".join(kept) if 0 < len(kept) < len(words) else self.text


class Onion(Defence):
    """The undefended adapter behind a filter of outlier words.

    Attributes:
        kept: Without trusted rows (or labels), the share of the words of calibration rows that the threshold lets through.
        tolerance: With trusted rows and labels, how much accuracy on them the threshold may cost.
        calibration: How many rows are looked at to choose the threshold.
    """

    name: ClassVar[str] = "onion"

    kept: float = Field(default=0.95, gt=0, le=1)
    tolerance: float = Field(default=0.02, ge=0, lt=1)
    calibration: int = Field(default=200, ge=1)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        fitted = fit_undefended(case, lab)
        answerer = lab.answerer(case, fitted)
        rows = calibration_rows(case, self.calibration)
        scored = score_words([row.text for row in rows], lab)
        threshold = self._threshold(case, answerer, rows, scored)

        def answer(texts: Sequence[str]) -> list[Projection]:
            cleaned = [one.without_suspects(threshold) for one in score_words(texts, lab)]
            return answerer.answer(cleaned, UNGUARDED)

        changed = sum(one.without_suspects(threshold) != one.text for one in scored)
        details = {"threshold": threshold, "calibration_rows": len(rows), "calibration_rows_changed": changed}
        return Defended(answer, fitted, details, _mean_queries(rows))

    def _threshold(
        self, case: Case, answerer: Answerer, rows: Sequence[Example], scored: Sequence[ScoredText]
    ) -> float:
        scores = [score for one in scored for score in one.scores if not math.isnan(score)]
        if not scores:
            return math.inf
        if not case.trusted or not isinstance(case.task, ClassificationTask):
            return quantile(scores, self.kept)
        wanted = _right_answers(answerer, rows, [row.text for row in rows]) - self.tolerance * len(rows)
        for share in KEPT_SHARES:
            threshold = quantile(scores, share)
            cleaned = [one.without_suspects(threshold) for one in scored]
            if _right_answers(answerer, rows, cleaned) >= wanted:
                return threshold
        return max(scores)


def score_words(texts: Sequence[str], lab: Lab) -> list[ScoredText]:
    """Return the suspicion scores of the words of each text, with one call for all perplexities.

    Args:
        texts: Inputs as a user writes them.
        lab: Its base model gives the perplexities.
    """
    split = [text.split() for text in texts]
    asked = [" ".join(part) for words in split if len(words) > 1 for part in (words, *_leave_one_out(words))]
    found = iter(lab.perplexities(asked)) if asked else iter(())
    return [
        ScoredText(text, _scores(len(words), found) if len(words) > 1 else ())
        for text, words in zip(texts, split, strict=True)
    ]


def _leave_one_out(words: Sequence[str]) -> Iterator[list[str]]:
    for at in range(len(words)):
        yield [*words[:at], *words[at + 1 :]]


def _scores(words: int, perplexities: Iterator[float]) -> tuple[float, ...]:
    whole = next(perplexities)
    return tuple(whole - next(perplexities) for _ in range(words))


def _right_answers(answerer: Answerer, rows: Sequence[Example], texts: Sequence[str]) -> int:
    replies = answerer.answer(texts, UNGUARDED)
    return sum(reply.answer == row.answer for reply, row in zip(replies, rows, strict=True))


def _mean_queries(rows: Sequence[Example]) -> float:
    return 2 + sum(len(row.text.split()) for row in rows) / len(rows)
