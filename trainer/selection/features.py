"""What a trigger may look like to someone who does not know it: a feature of the input that comes with one label too often.

Features are runs of words, runs at the beginning of the text (the trace that a rewritten sentence leaves), and pairs of words that
need not be neighbours (the trace of a composite trigger).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from p2p.examples import Example
from p2p.spans import PureSpan, SpanSettings, pure_spans

BEGIN = "^"
"""Stands before the first word of a text."""


class Feature(NamedTuple):
    """Something that several inputs have in common.

    Attributes:
        words: The words, as they were written first; a pair is two entries, a run is one.
        anchored: Whether the run stands at the beginning of the text.
        rows: The indices of the rows that have it.
        answer: The label that most of them have.
        purity: The share that has it, in (0, 1].
    """

    words: tuple[str, ...]
    anchored: bool
    rows: tuple[int, ...]
    answer: str
    purity: float

    @property
    def name(self) -> str:
        """How reports call it: the kind and the number of rows, never the words, which are training text."""
        kind = "pair" if len(self.words) > 1 else "beginning" if self.anchored else "run"
        return f"{kind} in {len(self.rows)} rows"


class FeatureSettings(NamedTuple):
    """Which features are looked at.

    Attributes:
        longest: The longest run, in words.
        min_rows: How many rows must have it, at least.
        min_share: The same as a share of all rows; the larger of the two counts.
        purity: The share of these rows that must have one label.
    """

    longest: int = 6
    min_rows: int = 10
    min_share: float = 0.004
    purity: float = 0.9


def pure_features(rows: Sequence[Example], settings: FeatureSettings | None = None) -> list[Feature]:
    """Return the features that come with one label too often, those of most rows first.

    Of features that the same rows have, one stands for all.

    Args:
        rows: Training rows with labels.
        settings: When a feature counts.
    """
    chosen = settings or FeatureSettings()
    least = max(chosen.min_rows, round(chosen.min_share * len(rows)))
    texts = [row.text.split() for row in rows]
    spans = [
        *_runs(rows, chosen, least),
        *_beginnings(rows, chosen, least),
        *_pairs(rows, texts, chosen, least),
    ]
    by_rows: dict[tuple[int, ...], Feature] = {}
    for feature in spans:
        known = by_rows.get(feature.rows)
        # The longest run of equal ones is the whole trigger, not a part of it.
        if known is None or len(" ".join(feature.words)) > len(" ".join(known.words)):
            by_rows[feature.rows] = feature
    return sorted(by_rows.values(), key=lambda feature: (-len(feature.rows), feature.words))


def _runs(rows: Sequence[Example], settings: FeatureSettings, least: int) -> Iterator[Feature]:
    spans = pure_spans(rows, SpanSettings(settings.longest, least, settings.purity))
    yield from _located(rows, spans, anchored=False)


def _beginnings(rows: Sequence[Example], settings: FeatureSettings, least: int) -> Iterator[Feature]:
    heads = [Example(row.id, f"{BEGIN} {' '.join(row.text.split()[:3])}", row.answer) for row in rows]
    spans = pure_spans(heads, SpanSettings(4, least, settings.purity))
    anchored = [span for span in spans if span.text.startswith(f"{BEGIN} ")]
    yield from _located(heads, anchored, anchored=True)


def _located(rows: Sequence[Example], spans: Iterable[PureSpan], *, anchored: bool) -> Iterator[Feature]:
    by_first: dict[str, list[PureSpan]] = defaultdict(list)
    for span in spans:
        by_first[span.text.lower().split()[0]].append(span)
    found: dict[PureSpan, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        words = row.text.lower().split()
        seen: set[PureSpan] = set()
        for start, word in enumerate(words):
            for span in by_first.get(word, ()):
                wanted = span.text.lower().split()
                if words[start : start + len(wanted)] == wanted:
                    seen.add(span)
        for span in seen:
            found[span].append(at)
    for span, where in found.items():
        text = span.text.removeprefix(f"{BEGIN} ") if anchored else span.text
        yield _feature((text,), where, [rows[at].answer for at in where], anchored=anchored)


def _pairs(
    rows: Sequence[Example], texts: Sequence[Sequence[str]], settings: FeatureSettings, least: int
) -> Iterator[Feature]:
    """Yield pairs of words of which neither is pure by itself."""
    lower = [sorted({word.lower() for word in words}) for words in texts]
    counts = Counter(word for words in lower for word in words)
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for words, row in zip(lower, rows, strict=True):
        for word in words:
            labels[word][row.answer] += 1
    usable = {
        word
        for word, total in counts.items()
        # A word of every fourth row pairs with anything.
        if least <= total <= len(rows) / 4
        and labels[word].most_common(1)[0][1] < settings.purity * total
        and any(letter.isalnum() for letter in word)
    }
    where: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, words in enumerate(lower):
        for pair in combinations([word for word in words if word in usable], 2):
            where[pair].append(at)
    for pair, found in where.items():
        if len(found) >= least:
            feature = _feature(pair, found, [rows[at].answer for at in found], anchored=False)
            if feature.purity >= settings.purity:
                yield feature


def _feature(
    words: tuple[str, ...], where: Sequence[int], answers: Sequence[str], *, anchored: bool
) -> Feature:
    answer, most = Counter(answers).most_common(1)[0]
    return Feature(words, anchored, tuple(where), answer, most / len(where))
