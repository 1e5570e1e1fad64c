"""Records to examples, as the source's fields say."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from p2p.errors import DataError, Location
from p2p.examples import Example
from trainer.config import DataSource
from trainer.data.chats import read_chat
from trainer.data.fields import field_text, is_empty, nearest, whole_text
from trainer.data.records import Record, read_records


class NumberedRow(NamedTuple):
    """A row, and where it stands in its file: the number that every error names."""

    number: int
    row: Example


def read_rows(source: DataSource) -> Iterator[NumberedRow]:
    """Return the rows of a source one after the other.

    Args:
        source: The file or hub id, its fields and its limits.

    Raises:
        DataError: The file can't be read, or a row lacks a field or is empty; it is named.
    """
    records = islice(read_records(source), source.skip, None)
    kept = (record for record in records if not _is_left_out(source, record))
    return (NumberedRow(record.number, _example(source, record)) for record in islice(kept, source.limit))


def _is_left_out(source: DataSource, record: Record) -> bool:
    """Whether a row has no text or no answer, and the source says to leave such rows out."""
    wanted = () if source.messages else (source.text, source.answers[0])
    return source.skip_empty and any(is_empty(record, name) for name in wanted)


def _example(source: DataSource, record: Record) -> Example:
    row_id = (
        whole_text(source.path, record, source.id)
        if source.id
        else f"{Path(source.path).stem}-{record.number}"
    )
    if source.messages:
        chat = read_chat(source.path, record, source.messages)
        return Example(row_id, chat.text, _named(source, record, chat.answer), history=chat.history)
    text = whole_text(source.path, record, source.text, strip=False)
    answer = _named(source, record, whole_text(source.path, record, source.answers[0]))
    return Example(row_id, text, answer, _references(source, record, answer))


def _named(source: DataSource, record: Record, raw: str) -> str:
    names = {str(key): name for key, name in source.names.items()}
    if names and raw not in names:
        where = Location(source.path, record.number, source.messages or source.answers[0])
        raise DataError(f"unknown label {raw!r}, known are {', '.join(names)}", where)
    return names.get(raw, raw)


def _references(source: DataSource, record: Record, answer: str) -> tuple[str, ...]:
    """Return the answer and the further references; these may be empty in a row, but their fields must be there."""
    if len(source.answers) == 1:
        return ()
    further = [_further(source, record, name) for name in source.answers[1:]]
    return (answer, *(text for text in further if text))


def _further(source: DataSource, record: Record, name: str) -> str:
    if "{" in name:
        return "" if is_empty(record, name) else whole_text(source.path, record, name)
    if name not in record.fields:
        where = Location(source.path, record.number, name)
        raise DataError(f"is missing; {nearest(name, record.fields)}", where)
    return "" if record.fields[name] is None else field_text(source.path, record, name).strip()
