"""Values of a record as text: a field, or several put together by a template such as ``{Body} {Question}``."""

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches

from p2p.errors import DataError, Location
from trainer.data.records import Record

SLOT = re.compile(r"\{([^{}]+)\}")


def whole_text(source: str, record: Record, wanted: str, *, strip: bool = True) -> str:
    """Return a field's text, or a template's with the fields put into it.

    Fields of a template may be empty as long as the whole is not; the white space that they leave at its ends is dropped.

    Args:
        source: What errors call the file.
        record: Where the values stand.
        wanted: A field's name, or a template when it holds braces.
        strip: Drop white space around a single field.

    Raises:
        DataError: A field is missing, or no text or number, or the whole is empty.
    """
    if "{" in wanted:
        text = SLOT.sub(lambda slot: _slot_text(source, record, slot[1]), wanted).strip()
    else:
        text = field_text(source, record, wanted)
        text = text.strip() if strip else text
    if is_empty(record, wanted):
        raise DataError("is empty", Location(source, record.number, wanted))
    return text


def is_empty(record: Record, wanted: str) -> bool:
    """Whether a field that is there, or every field of a template, is null or nothing but white space."""
    names = SLOT.findall(wanted) if "{" in wanted else [wanted]
    values = [record.fields[name] for name in names if name in record.fields]
    return len(values) == len(names) and all(value is None or not str(value).strip() for value in values)


def field_text(source: str, record: Record, name: str) -> str:
    """Return one field as text, which may be empty; numbers are written plainly (51.0 as ``51``).

    Raises:
        DataError: The field is missing, or no text or number.
    """
    value = record.fields.get(name)
    if value is None:
        raise DataError(f"is missing; {nearest(name, record.fields)}", Location(source, record.number, name))
    return as_text(value, Location(source, record.number, name))


def as_text(value: object, where: Location) -> str:
    """Return a value as text.

    Raises:
        DataError: It is neither text nor a finite number, or text that can't be written.
    """
    if not isinstance(value, str | int | float):
        raise DataError(f"must be text or a number, got {type(value).__name__}", where)
    text = _plainly(value, where) if isinstance(value, float) else str(value)
    if not _is_unicode(text):
        raise DataError("is not Unicode text: half of a surrogate pair is in it", where)
    return text


def nearest(name: str, fields: Iterable[object]) -> str:
    """Return a hint for a field that is not there."""
    known = [str(field) for field in fields]
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"the row has {', '.join(known)}"


def _slot_text(source: str, record: Record, name: str) -> str:
    is_null = name in record.fields and record.fields[name] is None
    return "" if is_null else field_text(source, record, name)


def _plainly(value: float, where: Location) -> str:
    if not math.isfinite(value):
        raise DataError("is not a finite number", where)
    return f"{Decimal(repr(value)).normalize():f}"


def _is_unicode(text: str) -> bool:
    """Whether the text can be written: JSON may hold half a surrogate pair, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
