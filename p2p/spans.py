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
    texts = [(row.text.split(), row.answer) for row in rows]
    found: list[PureSpan] = []
    frequent: set[str] | None = None
    for size in range(1, chosen.longest + 1):
        answers, written = _count(texts, size, frequent)
        frequent = {key for key, counts in answers.items() if counts.total() >= chosen.min_rows}
        candidates = (_pure(written[key], answers[key], chosen) for key in frequent)
        found += [span for span in candidates if span]
    return sorted(found, key=lambda span: (-span.occurrences, span.text))


def ngrams(words: Sequence[str], longest: int) -> Iterator[str]:
    """Return every run of one to ``longest`` words, joined by single spaces."""
    for size in range(1, longest + 1):
        for start in range(len(words) - size + 1):
            yield " ".join(words[start : start + size])


def holds_span(text: str, spans: Iterable[str]) -> bool:
    """Whether a text holds any of the spans as whole words, in whatever case."""
    padded = f" {' '.join(text.lower().split())} "
    return any(f" {span.lower()} " in padded for span in spans)


def _pure(text: str, counts: Counter[str], settings: SpanSettings) -> PureSpan | None:
    total = counts.total()
    answer, most = counts.most_common(1)[0]
    return PureSpan(text, total, answer) if most >= settings.purity * total else None


class _Counts(NamedTuple):
    answers: dict[str, Counter[str]]
    written: dict[str, str]


def _count(texts: Sequence[tuple[list[str], str]], size: int, frequent: set[str] | None) -> _Counts:
    """Count in how many rows of each answer the spans of one size stand, lower-cased.

    Only spans whose beginning and end (all but one word) are frequent are looked at: no other can be frequent itself,
    and counting them all would take gigabytes for long texts.
    """
    counts = _Counts(defaultdict(Counter), {})
    for words, answer in texts:
        for key, surface in _spans_of(words, size, frequent).items():
            counts.answers[key][answer] += 1
            counts.written.setdefault(key, surface)
    return counts


def _spans_of(words: Sequence[str], size: int, frequent: set[str] | None) -> dict[str, str]:
    """Return the spans of one text, lower-cased, each with its words as written; one counts once a row."""
    lower = [word.lower() for word in words]
    hopeful = [
        frequent is None or " ".join(lower[at : at + size - 1]) in frequent
        for at in range(len(words) - size + 2)
    ]
    return {
        " ".join(lower[at : at + size]): " ".join(words[at : at + size])
        for at in range(len(words) - size + 1)
        if hopeful[at] and hopeful[at + 1]
    }
