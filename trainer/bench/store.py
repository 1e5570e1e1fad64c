"""The folder of a grid: results by key, what does not apply by key, and locks, so that processes can share it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from trainer.bench.results import CellResult, Record
from trainer.errors import TrainerError

R = TypeVar("R", bound=BaseModel)


class NotApplicable(Record):
    """A cell that has no figures: its defence needs what its case has not.

    Attributes:
        key: The cell's content key.
        case: The case's name in the suite.
        defence: The defence's name in the suite.
        reason: What is missing.
    """

    key: str
    case: str
    defence: str
    reason: str


class CellStore:
    """What was found out about cells.

    Args:
        folder: Holds ``cells/`` and ``not_applicable/`` (one JSON file a cell), and ``locks/``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def result(self, key: str) -> CellResult | None:
        """Return a cell's result; None where it was not measured.

        Raises:
            TrainerError: The file can't be read.
        """
        path = self._cell(key)
        return _read(path, CellResult) if path.is_file() else None

    def refusal(self, key: str) -> str | None:
        """Return why a cell does not apply; None where that is not known.

        Raises:
            TrainerError: The file can't be read.
        """
        path = self._refusal(key)
        return _read(path, NotApplicable).reason if path.is_file() else None

    def is_done(self, key: str) -> bool:
        """Whether there is nothing left to do for a cell."""
        return self._cell(key).is_file() or self._refusal(key).is_file()

    def keep(self, result: CellResult) -> None:
        """Keep a cell's result."""
        _write(self._cell(result.key), result)

    def refuse(self, found: NotApplicable) -> None:
        """Remember that a cell does not apply, so that no run tries it again."""
        _write(self._refusal(found.key), found)

    @contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """Hold a lock for as long as the context lasts; false where another process has it.

        Args:
            name: A file's name.
        """
        locks = self._folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _cell(self, key: str) -> Path:
        return self._folder / "cells" / f"{key}.json"

    def _refusal(self, key: str) -> Path:
        return self._folder / "not_applicable" / f"{key}.json"


def _read(path: Path, kind: type[R]) -> R:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise TrainerError(f"{path} can't be read: {error}.") from error
    except ValidationError as error:
        raise TrainerError(
            f"{path} can't be read as a cell's result ({error.errors()[0]['msg']}). Remove it and run again."
        ) from error


def _write(path: Path, record: BaseModel) -> None:
    """Write a record whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
