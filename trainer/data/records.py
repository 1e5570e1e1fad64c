"""Records of a file or a hub id, each with the number that errors name it by."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from p2p.errors import DataError, Location
from trainer.config import DataSource

_FILE_KINDS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


class Record(NamedTuple):
    """A record, and where it stands in its file.

    Attributes:
        number: The line of a JSON lines file, else the position among the records (a header counts); 1 is the first.
        fields: Its values by field.
    """

    number: int
    fields: Mapping[str, Any]


def read_records(source: DataSource) -> Iterator[Record]:
    """Return the records of a source one after the other.

    Whether JSON is an array or one object a line is told by its first character, not by the file's name.

    Args:
        source: The file or hub id.

    Raises:
        DataError: There is no such file, or a record of it can't be read; its number is named.
    """
    path = Path(source.path)
    if path.suffix not in _FILE_KINDS:
        return _hub_records(source)
    if not path.is_file():
        siblings = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        near = get_close_matches(path.name, siblings, n=1)
        raise DataError("no such file" + (f"; did you mean {near[0]!r}?" if near else ""), Location(path))
    if path.suffix == ".parquet":
        return _parquet_records(path)
    lines = _decoded_lines(path)
    return _csv_records(path, lines) if path.suffix in (".csv", ".tsv") else _json_records(path, lines)


def _decoded_lines(path: Path) -> Iterator[str]:
    with path.open("rb") as content:
        for number, line in enumerate(content, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"is not UTF-8 (byte {error.start} of the line). Convert it, for instance with `iconv -t utf-8`.",
                    Location(path, number),
                ) from None


def _json_records(path: Path, lines: Iterable[str]) -> Iterator[Record]:
    filled = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    first = next(filled, None)
    if first is None:
        return iter(())
    rest = chain([first], filled)
    if first[1].lstrip().startswith("["):
        return _array_records(path, (line for _, line in rest))
    return _line_records(path, rest)


def _array_records(path: Path, lines: Iterable[str]) -> Iterator[Record]:
    try:
        records = json.loads("".join(lines))
    except ValueError as error:
        raise DataError(f"is not a JSON array: {error}", Location(path)) from None
    for number, record in enumerate(records, start=1):
        yield Record(number, _object(path, number, record))


def _line_records(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[Record]:
    for number, line in lines:
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"is not JSON: {error}", Location(path, number)) from None
        yield Record(number, _object(path, number, record))


def _object(path: Path, number: int, record: object) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise DataError("must be a JSON object", Location(path, number))
    return record


def _csv_records(path: Path, lines: Iterable[str]) -> Iterator[Record]:
    is_tsv = path.suffix == ".tsv"
    # Strict: a quotation mark that is never closed would swallow the rest of the file as one field.
    reader = (
        csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        if is_tsv
        else csv.reader(lines, strict=True)
    )
    rows = _csv_rows(path, reader)
    _, padded = next(rows, (1, []))
    header = [name.strip() for name in padded]
    for number, row in rows:
        if not row:
            continue
        if len(row) > len(header):
            raise DataError(f"has {len(row)} fields, the header {len(header)}", Location(path, number))
        # Blanks around the header's names are part of the separator (`sentence \t label`), and so they are in the rows.
        values = row if padded == header else [value.strip() for value in row]
        yield Record(number, dict(zip_longest(header, values)))


def _csv_rows(path: Path, reader: Iterable[list[str]]) -> Iterator[tuple[int, list[str]]]:
    number = 0
    try:
        for number, row in enumerate(reader, start=1):
            yield number, row
    except csv.Error as error:
        raise DataError(f"is not CSV: {error}", Location(path, number + 1)) from None


def _parquet_records(path: Path) -> Iterator[Record]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            batches = (batch.to_pylist() for batch in file.iter_batches())
            yield from map(Record, count(1), chain.from_iterable(batches))
    except (ArrowException, OSError) as error:
        raise DataError(f"is not a Parquet file: {error}", Location(path)) from error


def _hub_records(source: DataSource) -> Iterator[Record]:
    from datasets import load_dataset

    try:
        rows = load_dataset(source.path, split=source.split)
    except Exception as error:
        raise DataError(
            f"is neither a {', '.join(_FILE_KINDS)} file nor a data set that the hub gave ({type(error).__name__})",
            Location(source.path),
        ) from error
    yield from (Record(number, row) for number, row in enumerate(rows, start=1))
