"""The words of a data set as numbers in flat files: what n-grams are counted over, pass after pass, without the texts."""

from array import array
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from p2p.examples import Example

if TYPE_CHECKING:
    from types import TracebackType

Hashes = npt.NDArray[np.uint64]
_CHUNK_ROWS = 50_000
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_PARTS = ("words", "lengths", "answers")


class WordChunk(NamedTuple):
    """Some rows in a run.

    Attributes:
        first: The number of the first row.
        words: A hash for each word, row after row, lower-cased.
        row_of: For each word the row, counted from ``first``.
        answers: A hash for each row's answer.
    """

    first: int
    words: Hashes
    row_of: npt.NDArray[np.int64]
    answers: Hashes


class WordWriter:
    """Writes the hashes of rows; to be used as a context.

    Args:
        folder: Where the files go; they take 8 bytes a word and 12 a row.
    """

    def __init__(self, folder: Path) -> None:
        self._files = [(folder / part).open("wb") for part in _PARTS]
        self._buffers = (array("Q"), array("I"), array("Q"))
        self._hash_of = _WordHashes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._flush()
        for file in self._files:
            file.close()

    def add(self, row: Example) -> None:
        """Write the words and the answer of a row."""
        words = row.text.split()
        hashes, lengths, answers = self._buffers
        hashes.extend(map(self._hash_of.__getitem__, words))
        lengths.append(len(words))
        answers.append(_hash(row.answer))
        if len(answers) == _CHUNK_ROWS:
            self._flush()

    def _flush(self) -> None:
        for file, buffer in zip(self._files, self._buffers, strict=True):
            buffer.tofile(file)
            del buffer[:]


class WordFile:
    """The hashes of rows, to be read in chunks as often as wanted.

    Args:
        folder: Where a :class:`WordWriter` has put them.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / part for part in _PARTS]

    @property
    def words(self) -> int:
        """How many words there are."""
        return self._paths[0].stat().st_size // 8

    def __iter__(self) -> Iterator[WordChunk]:
        first = 0
        words, lengths, answers = (path.open("rb") for path in self._paths)
        with words, lengths, answers:
            while (sizes := np.fromfile(lengths, np.uint32, _CHUNK_ROWS).astype(np.int64)).size:
                row_of = np.repeat(np.arange(sizes.size), sizes)
                hashes = np.fromfile(words, np.uint64, int(sizes.sum()))
                yield WordChunk(first, hashes, row_of, np.fromfile(answers, np.uint64, sizes.size))
                first += sizes.size


def ngram_hashes(words: Hashes, size: int) -> Hashes:
    """Return a hash for the run of ``size`` words that begins at each word, as far as the words reach.

    Args:
        words: The hashes of the words, at least ``size`` for a result that is not empty.
        size: 1 gives the words themselves.
    """
    count = max(0, len(words) - size + 1)
    hashes = words[:count].copy()
    for at in range(1, size):
        hashes = hashes * _MULTIPLIER + words[at : at + count]
    return hashes


def word_hashes(text: str) -> Hashes:
    """Return the hashes of a text's words, as a :class:`WordWriter` writes them."""
    return np.array([_hash(word.lower()) for word in text.split()], dtype=np.uint64)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


class _WordHashes(dict[str, int]):
    """A cache of words as they are written; emptied when it is full, since a vocabulary may have no end."""

    _ENTRIES = 2**18

    def __missing__(self, word: str) -> int:
        if len(self) >= self._ENTRIES:
            self.clear()
        found = self[word] = _hash(word.lower())
        return found
