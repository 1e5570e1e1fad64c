"""Counts of n-grams by answer, exact, with as much memory as one partition takes.

The counts of each chunk go to files by the beginning of the hash; then one file after the other is added up.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.streaming.words import Hashes, WordChunk, WordFile, ngram_hashes

_PARTITION_BYTES = 16 * 2**20
_MOST_PARTITIONS = 512
_COUNT = np.dtype([("gram", "<u8"), ("answer", "<u8"), ("rows", "<u8"), ("first", "<u8")])
Counts = npt.NDArray[np.void]


class GramCounts(NamedTuple):
    """What is known of some n-grams, one entry each.

    Attributes:
        gram: The hash.
        rows: In how many rows it stands.
        most: How many of them have its most frequent answer.
        first: The first row that holds it.
        first_of_answer: The first one with that answer.
    """

    gram: Hashes
    rows: Hashes
    most: Hashes
    first: Hashes
    first_of_answer: Hashes

    def where(self, mask: npt.NDArray[np.bool_]) -> "GramCounts":
        """Return the entries that a mask keeps."""
        return GramCounts(*(column[mask] for column in self))


class Membership:
    """A set of hashes in a fixed 16 MiB: it may say yes to a stranger, never no to a member (a Bloom filter of one hash)."""

    _BYTES = 2**24

    def __init__(self) -> None:
        self._bits = np.zeros(self._BYTES, dtype=np.uint8)

    def add(self, hashes: Hashes) -> None:
        """Put hashes in."""
        at, bit = self._place(hashes)
        np.bitwise_or.at(self._bits, at, bit)

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Whether each hash is in."""
        at, bit = self._place(hashes)
        found: npt.NDArray[np.bool_] = (self._bits[at] & bit) != 0
        return found

    def _place(self, hashes: Hashes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint8]]:
        at = ((hashes >> np.uint64(3)) % np.uint64(self._BYTES)).astype(np.intp)
        return at, np.left_shift(np.uint8(1), (hashes & np.uint64(7)).astype(np.uint8))


def count_ngrams(
    words: WordFile, size: int, shorter: Membership | None, folder: Path
) -> Iterator[GramCounts]:
    """Count in how many rows of each answer the n-grams of one size stand.

    Args:
        words: The rows.
        size: The n-grams' length, in words.
        shorter: The frequent n-grams of one word less. Only n-grams whose beginning and end are among them are counted: no
            other can be frequent itself. None counts all.
        folder: For the partitions; they are removed as they are read.

    Yields:
        Every n-gram counted, once, a partition at a time.
    """
    partitions = min(_MOST_PARTITIONS, 1 + words.words * _COUNT.itemsize // _PARTITION_BYTES)
    paths = [folder / f"counts-{number}" for number in range(partitions)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        edges = _edges(partitions)
        for chunk in words:
            counts = _count_chunk(chunk, size, shorter)
            bounds = [0, *np.searchsorted(counts["gram"], edges), len(counts)]
            for file, begin, end in zip(files, bounds, bounds[1:], strict=False):
                counts[begin:end].tofile(file)
    for path in paths:
        counts = np.fromfile(path, _COUNT)
        path.unlink()
        if counts.size:
            yield _by_gram(_add_up(counts))


def _edges(partitions: int) -> Hashes:
    return np.array([number * 2**64 // partitions for number in range(1, partitions)], dtype=np.uint64)


def _count_chunk(chunk: WordChunk, size: int, shorter: Membership | None) -> Counts:
    grams = ngram_hashes(chunk.words, size)
    rows = chunk.row_of[: grams.size]
    within = rows == chunk.row_of[size - 1 :]
    if shorter is not None and grams.size:
        hopeful = shorter.holds(ngram_hashes(chunk.words, size - 1))
        within &= hopeful[:-1] & hopeful[1:]
    grams, rows = grams[within], rows[within]
    answers = chunk.answers[rows]
    order = np.lexsort((answers, grams))
    grams, rows, answers = grams[order], rows[order], answers[order]
    # The sort is stable: what a row holds twice stands side by side.
    fresh = _changes(grams, answers) | _changes(rows)
    counts = np.empty(int(fresh.sum()), dtype=_COUNT)
    counts["gram"], counts["answer"], counts["rows"] = grams[fresh], answers[fresh], 1
    counts["first"] = rows[fresh] + chunk.first
    return _add_up_sorted(counts)


def _add_up(counts: Counts) -> Counts:
    return _add_up_sorted(counts[np.lexsort((counts["answer"], counts["gram"]))])


def _add_up_sorted(counts: Counts) -> Counts:
    starts = np.flatnonzero(_changes(counts["gram"], counts["answer"]))
    summed = counts[starts]
    if starts.size:
        summed["rows"] = np.add.reduceat(counts["rows"], starts)
        summed["first"] = np.minimum.reduceat(counts["first"], starts)
    return summed


def _by_gram(counts: Counts) -> GramCounts:
    starts = np.flatnonzero(_changes(counts["gram"]))
    most = np.maximum.reduceat(counts["rows"], starts)
    sizes = np.diff([*starts, len(counts)])
    leading = np.flatnonzero(counts["rows"] == np.repeat(most, sizes))
    # The first of the leading answers, where two are level: none of them makes the n-gram pure.
    leader = leading[np.searchsorted(leading, starts)]
    return GramCounts(
        counts["gram"][starts],
        np.add.reduceat(counts["rows"], starts),
        most,
        np.minimum.reduceat(counts["first"], starts),
        counts["first"][leader],
    )


def _changes(*columns: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Return where an entry differs from the one before it; the first always does."""
    changed = np.ones(len(columns[0]), dtype=np.bool_)
    changed[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return changed
