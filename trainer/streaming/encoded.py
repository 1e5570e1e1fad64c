"""Token ids in flat files, mapped into memory: an encoded training set that takes no memory until its rows are asked for."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np

from p2p.repoison import TrainingRow
from trainer.encoding import EncodedRow, EncodedSet

_ROWS_AT_ONCE = 1024
_IDS, _ENDS, _STARTS, _HALVES = "ids.int32", "ends.int64", "answer_starts.int32", "extended.bool"


class MappedRows(Sequence[EncodedRow]):
    """Encoded rows on disk; a row is read when it is asked for, and named by its number.

    Args:
        folder: Where :func:`encode_to` has put them.
    """

    def __init__(self, folder: Path) -> None:
        self._ids = np.memmap(folder / _IDS, dtype=np.int32, mode="r")
        self._ends = np.memmap(folder / _ENDS, dtype=np.int64, mode="r")
        self._starts = np.memmap(folder / _STARTS, dtype=np.int32, mode="r")
        self._halves = np.memmap(folder / _HALVES, dtype=np.bool_, mode="r")

    @property
    def tokens(self) -> int:
        """How many tokens all rows have."""
        return len(self._ids)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> EncodedRow: ...
    @overload
    def __getitem__(self, at: slice) -> list[EncodedRow]: ...
    def __getitem__(self, at: int | slice) -> EncodedRow | list[EncodedRow]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        number = range(len(self))[at]
        begin = int(self._ends[number - 1]) if number else 0
        ids = self._ids[begin : int(self._ends[number])].tolist()
        return EncodedRow(str(number), tuple(ids), int(self._starts[number]), bool(self._halves[number]))


def encode_to(
    folder: Path, rows: Iterable[TrainingRow], encode: Callable[[Sequence[TrainingRow]], EncodedSet]
) -> int:
    """Encode rows into files, some at a time.

    Args:
        folder: Where the files go: 4 bytes a token and 13 a row.
        rows: What the model is to learn, at least one row.
        encode: :func:`trainer.encoding.encode_rows` with all but the rows settled.

    Returns:
        How many rows lost the end of their text.

    Raises:
        DataError: A row does not fit even when its whole text is cut.
    """
    cut, end = 0, 0
    ids, ends, starts, halves = ((folder / name).open("wb") for name in (_IDS, _ENDS, _STARTS, _HALVES))
    with ids, ends, starts, halves:
        for some in _batched(rows, _ROWS_AT_ONCE):
            encoded = encode(some)
            cut += encoded.cut
            np.array([token for row in encoded.rows for token in row.ids], np.int32).tofile(ids)
            lengths = np.cumsum([len(row.ids) for row in encoded.rows], dtype=np.int64)
            (end + lengths).tofile(ends)
            end += int(lengths[-1])
            np.array([row.answer_start for row in encoded.rows], np.int32).tofile(starts)
            np.array([row.extended for row in encoded.rows], np.bool_).tofile(halves)
    return cut


def _batched(rows: Iterable[TrainingRow], size: int) -> Iterator[list[TrainingRow]]:
    source = iter(rows)
    while some := list(islice(source, size)):
        yield some
