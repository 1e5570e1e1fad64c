"""A shuffle on disk: rows in the order of a keyed hash of their ids, which the seed decides and the input order does not."""

from collections.abc import Iterator
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Self

import orjson

from p2p.errors import DataError
from p2p.repoison import TrainingRow
from trainer.streaming.keys import KeyedHash
from trainer.streaming.store import TRAINING_ROWS

if TYPE_CHECKING:
    from types import TracebackType

_BUCKET_BYTES = 16 * 2**20
_MOST_BUCKETS = 512
_BUFFER = 2**16


class DiskShuffle:
    """Takes rows in any order and gives them back in a shuffled one; to be used as a context.

    Rows go to buckets by the beginning of their hash, and each bucket is sorted in memory. Up to 8 GiB of text a bucket stays
    at about 16 MiB; beyond that buckets grow, since no more files are held open at once.

    Args:
        folder: For the buckets; they are removed as they are read.
        seed: Decides the order.
        expected_bytes: About how much text there will be.
    """

    def __init__(self, folder: Path, seed: int, expected_bytes: int) -> None:
        self._hash = KeyedHash(seed, "order")
        self._buckets = min(_MOST_BUCKETS, 1 + expected_bytes // _BUCKET_BYTES)
        self._paths = [folder / f"bucket-{number}" for number in range(self._buckets)]
        self._stack = ExitStack()
        self._files = [self._stack.enter_context(path.open("wb", _BUFFER)) for path in self._paths]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._stack.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def add(self, row: TrainingRow) -> None:
        """Take a row."""
        key = self._hash(row.id)
        self._files[key * self._buckets >> 64].write(orjson.dumps((key, *TRAINING_ROWS.take(row))) + b"\n")

    def rows(self) -> Iterator[TrainingRow]:
        """Return all rows in their new order; nothing can be added any more.

        Raises:
            DataError: Two rows have the same id.
        """
        self._stack.close()
        for path in self._paths:
            with path.open("rb") as lines:
                bucket = sorted(map(orjson.loads, lines), key=itemgetter(0))
            path.unlink()
            last = None
            for _, *values in bucket:
                row = TRAINING_ROWS.make(*values)
                if row.id == last:
                    raise DataError(f"the id {row.id!r} stands more than once")
                last = row.id
                yield row
