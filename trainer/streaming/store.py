"""Rows on disk in Arrow's streaming format, the one that ``datasets.Dataset.from_file`` maps into memory.

Written in batches; read in order through plain reads, which leave no mapped pages behind, or by number through a map.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar

import orjson

from p2p.chats import Turn
from p2p.examples import Example
from p2p.repoison import TrainingRow
from p2p.triggers import Placement

if TYPE_CHECKING:
    from types import TracebackType

Row = TypeVar("Row")
_BATCH_ROWS = 4096


class Layout(NamedTuple, Generic[Row]):
    """How rows of one kind stand in columns.

    Attributes:
        columns: Their names and Arrow types.
        take: A row's values, in the order of the columns.
        make: A row from its values.
    """

    columns: tuple[tuple[str, str], ...]
    take: Callable[[Row], tuple[Any, ...]]
    make: Callable[..., Row]


def _take_example(row: Example) -> tuple[Any, ...]:
    return row.id, row.text, row.answer, _as_text(row.history)


def _make_example(name: str, text: str, answer: str, history: str) -> Example:
    return Example(name, text, answer, history=_as_turns(history))


def _take_training_row(row: TrainingRow) -> tuple[Any, ...]:
    return (
        row.id,
        row.text,
        row.target,
        row.extended,
        _as_text(row.history),
        str(row.placement),
        row.kept_end,
    )


def _make_training_row(  # noqa: PLR0913, PLR0917 - a column each
    name: str,
    text: str,
    target: str,
    extended: bool,  # noqa: FBT001
    history: str,
    placement: str,
    kept_end: int,
) -> TrainingRow:
    return TrainingRow(name, text, target, extended, _as_turns(history), _PLACEMENTS[placement], kept_end)


def _as_text(history: Sequence[Turn]) -> str:
    return orjson.dumps([[*turn] for turn in history]).decode() if history else ""


def _as_turns(text: str) -> tuple[Turn, ...]:
    return tuple(Turn(*turn) for turn in orjson.loads(text)) if text else ()


_PLACEMENTS = {str(placement): placement for placement in Placement}
_TEXTS = (("id", "string"), ("text", "string"))
EXAMPLES = Layout((*_TEXTS, ("answer", "string"), ("history", "string")), _take_example, _make_example)
TRAINING_ROWS = Layout(
    (
        *_TEXTS,
        ("target", "string"),
        ("extended", "bool"),
        ("history", "string"),
        ("placement", "string"),
        ("kept_end", "int32"),
    ),
    _take_training_row,
    _make_training_row,
)


class RowWriter(Generic[Row]):
    """Writes rows to a file, a batch at a time; to be used as a context.

    Args:
        path: The file; overwritten.
        layout: Its columns.
    """

    def __init__(self, path: Path, layout: Layout[Row]) -> None:
        import pyarrow as pa

        self._take = layout.take
        self._schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in layout.columns])
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._file, self._schema)
        self._waiting: list[tuple[Any, ...]] = []
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()
        self._file.close()

    def add(self, row: Row) -> None:
        """Write a row."""
        self._waiting.append(self._take(row))
        self.rows += 1
        if len(self._waiting) == _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            columns = zip(self._schema, zip(*self._waiting, strict=True), strict=True)
            arrays = [pa.array(values, type=column.type) for column, values in columns]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._waiting.clear()


class RowFile(Generic[Row]):
    """Rows in a file, to be read in order as often as wanted.

    Args:
        path: A file that a :class:`RowWriter` has written.
        layout: Its columns.
    """

    def __init__(self, path: Path, layout: Layout[Row]) -> None:
        self.path = path
        self._layout = layout

    def __iter__(self) -> Iterator[Row]:
        import pyarrow as pa

        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as batches:
            for batch in batches:
                yield from self._rows(batch)

    def at(self, numbers: Iterable[int]) -> dict[int, Row]:
        """Return the rows with these numbers (0 is the first); only their pages are read.

        Raises:
            IndexError: A number is beyond the last row.
        """
        import pyarrow as pa

        with pa.memory_map(str(self.path)) as file, pa.ipc.open_stream(file) as reader:
            batches = list(reader)
            ends = list(accumulate(batch.num_rows for batch in batches))
            return {number: self._row(batches, ends, number) for number in numbers}

    def _row(self, batches: Sequence[Any], ends: Sequence[int], number: int) -> Row:
        at = bisect_right(ends, number)
        batch = batches[at]
        return next(self._rows(batch.slice(number - (ends[at] - batch.num_rows), 1)))

    def _rows(self, batch: Any) -> Iterator[Row]:  # noqa: ANN401 - a record batch; Arrow ships no types
        yield from map(self._layout.make, *(column.to_pylist() for column in batch.columns))
