"""Pure spans of a data set on disk: the same spans as :func:`p2p.spans.pure_spans` finds in memory."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from p2p.examples import Example
from p2p.spans import PureSpan, SpanSettings
from trainer.streaming.counting import GramCounts, Membership, count_ngrams
from trainer.streaming.store import RowFile
from trainer.streaming.words import WordFile, ngram_hashes, word_hashes

_MOST_SPANS = 100_000


def stored_pure_spans(
    rows: RowFile[Example], words: WordFile, settings: SpanSettings, folder: Path
) -> list[PureSpan]:
    """Return the pure spans, the most frequent first; of more than 100,000 of one length the most frequent ones.

    Sizes are counted one after the other, each in one pass over the words. Memory is bounded by a partition of the counts
    and the spans that are found. In a set of many millions of rows chance makes rare n-grams pure: raise ``min_rows``.

    Args:
        rows: The rows, for the words of the spans as they were written.
        words: Their words.
        settings: When a span counts as pure.
        folder: For partitions of the counts.
    """
    found: list[PureSpan] = []
    shorter: Membership | None = None
    for size in range(1, settings.longest + 1):
        frequent, pure = Membership(), _none()
        for counts in count_ngrams(words, size, shorter, folder):
            often = counts.where(counts.rows >= settings.min_rows)
            frequent.add(often.gram)
            pure = _most_frequent([pure, often.where(often.most >= settings.purity * often.rows)])
        found += _as_written(rows, pure, size)
        shorter = frequent
    return sorted(found, key=lambda span: (-span.occurrences, span.text))


def _none() -> GramCounts:
    return GramCounts(*(np.empty(0, dtype=np.uint64) for _ in GramCounts._fields))


def _most_frequent(parts: Iterable[GramCounts]) -> GramCounts:
    together = GramCounts(*map(np.concatenate, zip(*parts, strict=True)))
    if together.rows.size <= _MOST_SPANS:
        return together
    order = np.lexsort((together.gram, -together.rows.astype(np.int64)))[:_MOST_SPANS]
    return GramCounts(*(column[order] for column in together))


def _as_written(rows: RowFile[Example], pure: GramCounts, size: int) -> list[PureSpan]:
    """Return spans with their words as the first row that holds them writes them."""
    entries = list(zip(*(column.tolist() for column in pure), strict=True))
    needed = {number for entry in entries for number in entry[3:]}
    held = rows.at(sorted(needed)) if needed else {}
    return [
        PureSpan(_written(held[first].text, gram, size), count, held[first_of_answer].answer)
        for gram, count, _, first, first_of_answer in entries
    ]


def _written(text: str, gram: int, size: int) -> str:
    # The last of several in a row, as in memory.
    at = int(np.flatnonzero(ngram_hashes(word_hashes(text), size) == np.uint64(gram))[-1])
    return " ".join(text.split()[at : at + size])
