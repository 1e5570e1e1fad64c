"""Precomputed rewrites: a file of pairs, or a rewritten file and the clean file it is aligned with row by row."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from p2p.errors import AttackError
from p2p.examples import Example

_REWRITTEN, _CLEAN, _ID = "rewritten", "clean", "id"


class Rewrites(NamedTuple):
    """Rewritten texts by the row's id and by its clean text.

    Attributes:
        by_id: Where the file names ids.
        by_text: By the clean text, in single spaces.
    """

    by_id: Mapping[str, str]
    by_text: Mapping[str, str]

    def of(self, example: Example) -> str | None:
        """Return the rewritten text of an example, or None where there is none."""
        return self.by_id.get(example.id, self.by_text.get(_plain(example.text)))


def read_pairs(path: Path) -> Rewrites:
    """Read a file whose rows hold ``rewritten`` and one of ``clean`` and ``id``.

    Raises:
        AttackError: The file or a row can't be used.
    """
    rows = _read(path)
    keys = {key for key in (_ID, _CLEAN) if all(row.get(key) for row in rows)}
    if not keys or not all(row.get(_REWRITTEN) for row in rows):
        raise AttackError(
            f"{path}: every row needs {_REWRITTEN!r} and one of {_CLEAN!r} and {_ID!r}. "
            "For a file that is aligned with a clean one, name that as `clean`."
        )
    by_id = {row[_ID]: row[_REWRITTEN] for row in rows} if _ID in keys else {}
    by_text = _by_text((row[_CLEAN], row[_REWRITTEN]) for row in rows) if _CLEAN in keys else {}
    return Rewrites(by_id, by_text)


def read_aligned(path: Path, clean: Path, field: str, only: str | None = None) -> Rewrites:
    """Read a rewritten file and the clean file it is aligned with; a row that is the same in both was not rewritten.

    Args:
        path: The rewritten file.
        clean: The clean file.
        field: The field that holds the text in both.
        only: ``field=value``: the clean file's rows that the rewritten file has, such as ``label=0``; None for all.

    Raises:
        AttackError: A file or a row can't be used, or the files have not the same number of rows.
    """
    after, before = _read(path), _read(clean)
    if only is not None:
        key, _, value = only.partition("=")
        before = [row for row in before if row.get(key) == value]
    if len(after) != len(before):
        kept = f" with {only}" if only is not None else ""
        raise AttackError(
            f"{path} has {len(after)} rows, {clean} has {len(before)}{kept}: they are not aligned"
        )
    for file, rows in ((path, after), (clean, before)):
        if rows and any(field not in row for row in rows):
            raise AttackError(f"{file}: a row has no field {field!r}, it has {', '.join(rows[0])}")
    return Rewrites({}, _by_text((old[field], new[field]) for old, new in zip(before, after, strict=True)))


def _by_text(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the rewrites; of a text that stands more than once, the first rewrite."""
    found: dict[str, str] = {}
    for clean, rewritten in pairs:
        if _plain(clean) != _plain(rewritten):
            found.setdefault(_plain(clean), rewritten)
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return [_filled(row) for row in _records(path, lines)]
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise AttackError(f"can't read rewrites from {path}: {error}") from error


def _filled(row: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in row.items() if key and value is not None}


def _records(path: Path, lines: Iterable[str]) -> Iterable[Mapping[str, object]]:
    if path.suffix == ".tsv":
        return csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if path.suffix == ".csv":
        return csv.DictReader(lines, strict=True)
    return _json_lines(lines)


def _json_lines(lines: Iterable[str]) -> Iterable[Mapping[str, object]]:
    for line in filter(str.strip, lines):
        yield dict(json.loads(line))
