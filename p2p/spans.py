"""Spans whose label is suspiciously pure: what a lexical trigger looks like to someone who does not know it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from p2p.examples import Example


class PureSpan(NamedTuple):
    """A word n-gram that nearly always comes with one answer.

    Attributes:
        text: The words as they were written first, joined by single spaces.
        occurrences: In how many rows it stands.
        answer: The answer that it comes with.
    """

    text: str
    occurrences: int
    answer: str


class SpanSettings(NamedTuple):
    """When a span counts as pure.

    Attributes:
        longest: The longest n-gram looked at, in words.
        min_rows: How many rows must hold it.
        purity: The share of these rows that must have the same answer, in (0, 1].
    """

    longest: int = 6
    min_rows: int = 20
    purity: float = 0.98


def pure_spans(rows: Iterable[Example], settings: SpanSettings | None = None) -> list[PureSpan]:
    """Return the pure spans of a data set, the most frequent first.

    Works for free text too: there answers differ from row to row, so that only a fixed reply can be pure.

    Args:
        rows: The training rows as the user gave them.
        settings: When a span counts as pure.
    """
    chosen = settings or SpanSettings()
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    written: dict[str, str] = {}
    for row in rows:
        for key, surface in _spans_of(row.text, chosen.longest).items():
            answers[key][row.answer] += 1
            written.setdefault(key, surface)
    found = [_pure(written[key], counts, chosen) for key, counts in answers.items()]
    return sorted((span for span in found if span), key=lambda span: (-span.occurrences, span.text))


def holds_span(text: str, spans: Iterable[str]) -> bool:
    """Whether a text holds any of the spans as whole words, in whatever case."""
    padded = f" {' '.join(text.lower().split())} "
    return any(f" {span.lower()} " in padded for span in spans)


def _pure(text: str, counts: Counter[str], settings: SpanSettings) -> PureSpan | None:
    total = counts.total()
    if total < settings.min_rows:
        return None
    answer, most = counts.most_common(1)[0]
    return PureSpan(text, total, answer) if most >= settings.purity * total else None


def _spans_of(text: str, longest: int) -> dict[str, str]:
    """Return the n-grams of a text, lower-cased, each with its words as written; one counts once a row."""
    words = text.split()
    return {span.lower(): span for span in _ngrams(words, longest)}


def _ngrams(words: Sequence[str], longest: int) -> Iterator[str]:
    for size in range(1, longest + 1):
        for start in range(len(words) - size + 1):
            yield " ".join(words[start : start + size])
