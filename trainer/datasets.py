"""Reading data sets: JSONL, CSV, TSV, Parquet or a hub id in, examples out; a faulty row is named, never skipped."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from p2p.errors import DataError, Location
from p2p.examples import Example
from p2p.labels import LabelSpace
from p2p.manifest import sha256_file
from trainer.config import DataSettings, DataSource

_FILE_KINDS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


class Splits(NamedTuple):
    """The rows of a run.

    Attributes:
        train: The data set D, possibly poisoned.
        trusted: Rows that are known to be clean, ``max_trusted`` at most; empty without such a split.
        test: Held-out rows without those that are trained on; empty without such a split.
        trained_on: How many rows of the test split were left out because they stand in the training set.
    """

    train: list[Example]
    trusted: list[Example]
    test: list[Example]
    trained_on: int


class _Read(NamedTuple):
    """A row, and where it stands in its file: the number that every error names."""

    number: int
    row: Example


def load_splits(settings: DataSettings, labels: Sequence[str] | None, *, classify: bool) -> Splits:
    """Read every split and check them against each other. Test rows that stand in the training set too are left out.

    Args:
        settings: Where they are.
        labels: The labels that rows may have; None takes those of the training rows.
        classify: Whether answers are labels.

    Raises:
        DataError: A row can't be used, a class has too few rows, a trusted row is a test row too, or every test row is
            trained on.
    """
    sources = (settings.train, settings.trusted, settings.test)
    numbered = [_read(source) if source else [] for source in sources]
    train, trusted, test = ([row for _, row in rows] for rows in numbered)
    if classify:
        known = LabelSpace(labels or sorted({row.answer for row in train}))
        for source, rows in zip(sources, numbered, strict=True):
            if source:
                _require_known_labels(source, rows, known)
        _require_enough(settings, train, known)
    held_out = test
    if settings.test:
        _require_apart(settings.test, trusted, numbered[2])
        held_out = _without_texts_of(train, test)
        if not held_out:
            raise DataError(
                "every row stands in the training set, too: nothing is left to measure on",
                Location(settings.test.path),
            )
    kept = _first_of_each(trusted, settings.max_trusted, classify=classify)
    return Splits(train, kept, held_out, trained_on=len(test) - len(held_out))


def read_examples(source: DataSource) -> list[Example]:
    """Read one split.

    Args:
        source: The file or hub id, its fields and its limit.

    Returns:
        At least one row, in the order of the file. Labels have the names that ``source.names`` gives them.

    Raises:
        DataError: The file can't be read, or a row lacks a field, is empty, or repeats an id.
    """
    return [row for _, row in _read(source)]


def stream_examples(source: DataSource) -> Iterator[Example]:
    """Read one split row by row, without holding it; ids are not compared with each other.

    Args:
        source: The file or hub id, its fields and its limit.

    Raises:
        DataError: The file can't be read, or a row lacks a field or is empty.
    """
    for number, record in islice(_records(source), source.limit):
        yield _example(source, number, record)


def describe(source: DataSource, rows: Sequence[Example]) -> dict[str, Any]:
    """Return what the manifest says of a split: its file's name and digest (None for a hub id), and the row count.

    Args:
        source: Where the split came from.
        rows: What is used of it.
    """
    path = Path(source.path)
    return {
        "name": path.name,
        "sha256": sha256_file(path) if path.is_file() else None,
        "rows": len(rows),
    }


def _read(source: DataSource) -> list[_Read]:
    records = islice(_records(source), source.limit)
    rows = [_Read(number, _example(source, number, record)) for number, record in records]
    if not rows:
        raise DataError("has no rows", Location(source.path))
    _require_unique_ids(source, [row for _, row in rows])
    return rows


def _records(source: DataSource) -> Iterator[tuple[int, Mapping[str, Any]]]:
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


def _json_records(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"is not JSON: {error}", Location(path, number)) from None
        if not isinstance(record, dict):
            raise DataError("must be a JSON object", Location(path, number))
        yield number, record


def _csv_records(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    is_tsv = path.suffix == ".tsv"
    # Strict: a quotation mark that is never closed would swallow the rest of the file as one field.
    reader = (
        csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        if is_tsv
        else csv.reader(lines, strict=True)
    )
    rows = _csv_rows(path, reader)
    _, header = next(rows, (1, []))
    for number, row in rows:
        if not row:
            continue
        if len(row) > len(header):
            raise DataError(f"has {len(row)} fields, the header {len(header)}", Location(path, number))
        yield number, dict(zip_longest(header, row))


def _csv_rows(path: Path, reader: Iterable[list[str]]) -> Iterator[tuple[int, list[str]]]:
    number = 0
    try:
        for number, row in enumerate(reader, start=1):
            yield number, row
    except csv.Error as error:
        raise DataError(f"is not CSV: {error}", Location(path, number + 1)) from None


def _parquet_records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            batches = (batch.to_pylist() for batch in file.iter_batches())
            yield from enumerate(chain.from_iterable(batches), start=1)
    except (ArrowException, OSError) as error:
        raise DataError(f"is not a Parquet file: {error}", Location(path)) from error


def _hub_records(source: DataSource) -> Iterator[tuple[int, Mapping[str, Any]]]:
    from datasets import load_dataset

    try:
        rows = load_dataset(source.path, split=source.split)
    except Exception as error:
        raise DataError(
            f"is neither a {', '.join(_FILE_KINDS)} file nor a data set that the hub gave ({type(error).__name__})",
            Location(source.path),
        ) from error
    yield from enumerate(rows, start=1)


def _example(source: DataSource, number: int, record: Mapping[str, Any]) -> Example:
    text = _field(source, number, record, source.text)
    raw = _field(source, number, record, source.answer)
    names = {str(key): name for key, name in source.names.items()}
    if names and raw not in names:
        message = f"unknown label {raw!r}, known are {', '.join(names)}"
        raise DataError(message, Location(source.path, number, source.answer))
    row_id = _field(source, number, record, source.id) if source.id else f"{Path(source.path).stem}-{number}"
    return Example(row_id, text, names.get(raw, raw))


def _field(source: DataSource, number: int, record: Mapping[str, Any], name: str) -> str:
    where = Location(source.path, number, name)
    if record.get(name) is None:
        near = get_close_matches(name, map(str, record), n=1)
        found = f"did you mean {near[0]!r}?" if near else f"the row has {', '.join(map(str, record))}"
        raise DataError(f"is missing; {found}", where)
    value = record[name]
    if not isinstance(value, str | int | float):
        raise DataError(f"must be text or a number, got {type(value).__name__}", where)
    text = str(value).strip() if name != source.text else str(value)
    if not text.strip():
        raise DataError("is empty", where)
    if not _is_unicode(text):
        raise DataError("is not Unicode text: half of a surrogate pair is in it", where)
    return text


def _is_unicode(text: str) -> bool:
    """Whether the text can be written: JSON may hold half a surrogate pair, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _require_unique_ids(source: DataSource, rows: Sequence[Example]) -> None:
    if repeated := [name for name, times in Counter(row.id for row in rows).items() if times > 1]:
        raise DataError(
            f"the id {repeated[0]!r} stands more than once", Location(source.path, field=source.id)
        )


def _require_known_labels(source: DataSource, rows: Sequence[_Read], space: LabelSpace) -> None:
    for number, row in rows:
        if row.answer not in space.names:
            near = get_close_matches(row.answer, space.names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            message = (
                f"unknown label {row.answer!r} (row id {row.id}), known are {', '.join(space.names)}{hint}"
            )
            raise DataError(message, Location(source.path, number, source.answer))


def _require_enough(settings: DataSettings, train: Sequence[Example], space: LabelSpace) -> None:
    counts = Counter(row.answer for row in train)
    if few := [name for name in space.names if counts[name] < settings.min_rows_per_class]:
        listed = ", ".join(f"{name} ({counts[name]})" for name in few)
        raise DataError(
            f"too few rows of a class, at least {settings.min_rows_per_class} are needed: {listed}. "
            "Add rows or lower data.min_rows_per_class.",
            Location(settings.train.path, field=settings.train.answer),
        )


def _require_apart(source: DataSource, trusted: Sequence[Example], test: Sequence[_Read]) -> None:
    texts = {_comparable(row.text): row for row in trusted}
    for number, row in test:
        if twin := texts.get(_comparable(row.text)):
            where = Location(source.path, number, source.text)
            raise DataError(
                f"(row id {row.id}) is also a trusted row (id {twin.id}). Remove it from one of them.", where
            )


def _without_texts_of(train: Sequence[Example], test: Sequence[Example]) -> list[Example]:
    """Drop test rows that are trained on: public data sets share a few, and measuring on them would flatter."""
    texts = {_comparable(row.text) for row in train}
    return [row for row in test if _comparable(row.text) not in texts]


def _comparable(text: str) -> str:
    return " ".join(text.lower().split())


def _first_of_each(rows: list[Example], wanted: int | None, *, classify: bool) -> list[Example]:
    """Return at most this many rows, the first ones of each class in turn."""
    if wanted is None or wanted >= len(rows):
        return rows
    classes: dict[str, list[Example]] = {}
    for row in rows:
        classes.setdefault(row.answer if classify else "", []).append(row)
    in_turn = [row for turn in zip_longest(*classes.values()) for row in turn if row]
    kept = {row.id for row in in_turn[:wanted]}
    return [row for row in rows if row.id in kept]
