"""The splits of a run, checked against each other: a faulty row is named, never skipped."""

from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from p2p.errors import DataError, Location
from p2p.examples import Example
from p2p.labels import LabelSpace
from p2p.manifest import sha256_file
from trainer.config import DataSettings, DataSource
from trainer.data.rows import NumberedRow, read_rows


class Splits(NamedTuple):
    """The rows of a run.

    Attributes:
        train: The data set D, possibly poisoned: the trusted rows where there is no other; empty where it is streamed.
        trusted: Rows that are known to be clean, ``max_trusted`` at most; empty without such a split.
        test: Held-out rows without those that are trained on; empty without such a split.
        trained_on: How many rows of the test split were left out because they stand in the training set, or are trusted.
    """

    train: list[Example]
    trusted: list[Example]
    test: list[Example]
    trained_on: int


def load_splits(settings: DataSettings, labels: Sequence[str] | None, *, classify: bool) -> Splits:
    """Read every split and check them against each other. Test rows that stand in the training set too are left out.

    Args:
        settings: Where they are. A training split that is streamed is left to :mod:`trainer.streaming.stage`.
        labels: The labels that rows may have; None takes those of the training rows.
        classify: Whether answers are labels.

    Raises:
        DataError: A row can't be used, a class has too few rows, a trusted row is a test row too, or every test row is
            trained on.
    """
    sources = (None if settings.stream else settings.train, settings.trusted, settings.test)
    numbered = [_read(source) if source else [] for source in sources]
    train, trusted, test = ([row for _, row in rows] for rows in numbered)
    kept = _first_of_each(trusted, settings.max_trusted, classify=classify)
    if settings.train is None:
        train = kept
    if classify:
        known = LabelSpace(labels or sorted({row.answer for row in train}))
        for source, rows in zip(sources, numbered, strict=True):
            if source:
                require_known_labels(source, rows, known)
        if not settings.stream:
            require_enough(settings, Counter(row.answer for row in train), known)
    if settings.test and settings.trusted_test_rows == "refuse":
        _require_apart(settings.test, kept, numbered[2])
    held_out = _without_texts_of([*train, *kept], test)
    if settings.test and not held_out:
        raise DataError(
            "every row stands in the training set, too: nothing is left to measure on",
            Location(settings.test.path),
        )
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


def describe(source: DataSource, rows: Sized) -> dict[str, Any]:
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


def _read(source: DataSource) -> list[NumberedRow]:
    rows = list(read_rows(source))
    if not rows:
        raise DataError("has no rows", Location(source.path))
    _require_unique_ids(source, [row for _, row in rows])
    return rows


def _require_unique_ids(source: DataSource, rows: Sequence[Example]) -> None:
    if repeated := [name for name, times in Counter(row.id for row in rows).items() if times > 1]:
        raise DataError(
            f"the id {repeated[0]!r} stands more than once", Location(source.path, field=source.id)
        )


def require_known_labels(source: DataSource, rows: Sequence[NumberedRow], space: LabelSpace) -> None:
    """Make sure that every row has a label that there is.

    Args:
        source: Where the rows come from.
        rows: The rows.
        space: The labels.

    Raises:
        DataError: A row has another one; the nearest known label is named.
    """
    for number, row in rows:
        if row.answer not in space.names:
            near = get_close_matches(row.answer, space.names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            message = (
                f"unknown label {row.answer!r} (row id {row.id}), known are {', '.join(space.names)}{hint}"
            )
            raise DataError(message, Location(source.path, number, source.answer_field))


def require_enough(settings: DataSettings, counts: Mapping[str, int], space: LabelSpace) -> None:
    """Make sure that every class has its rows.

    Args:
        settings: How many it needs.
        counts: How many training rows have each label; a label without rows may be missing.
        space: The labels.

    Raises:
        DataError: A class has too few.
    """
    if few := [name for name in space.names if counts.get(name, 0) < settings.min_rows_per_class]:
        listed = ", ".join(f"{name} ({counts.get(name, 0)})" for name in few)
        raise DataError(
            f"too few rows of a class, at least {settings.min_rows_per_class} are needed: {listed}. "
            "Add rows or lower data.min_rows_per_class.",
            Location(settings.rows_of_d.path, field=settings.rows_of_d.answer_field),
        )


def _require_apart(source: DataSource, trusted: Sequence[Example], test: Sequence[NumberedRow]) -> None:
    texts = {comparable(row): row for row in trusted}
    for number, row in test:
        if twin := texts.get(comparable(row)):
            where = Location(source.path, number, source.messages or source.text)
            raise DataError(
                f"(row id {row.id}) is also a trusted row (id {twin.id}). Remove it from one of them.", where
            )


def _without_texts_of(train: Sequence[Example], test: Sequence[Example]) -> list[Example]:
    """Drop test rows that are trained on: public data sets share a few, and measuring on them would flatter."""
    texts = {comparable(row) for row in train}
    return [row for row in test if comparable(row) not in texts]


def comparable(row: Example) -> tuple[str, ...]:
    """Return what makes two rows the same: the words of every turn, in whatever case and white space."""
    texts = (*(turn.content for turn in row.history), row.text)
    return tuple(" ".join(text.lower().split()) for text in texts)


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
