"""Runs that are kept: one SQLite file, from which a trend is read.

A file and not a remote time series, because a trend of counts needs the counts, a pipeline has no Prometheus, and SQLite is in
Python (decision 0014).
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from guard_server.errors import GuardConfigError
from guard_server.probes.result import ProbeResult, Verdict
from p2p.metrics.rate import Rate

_VERSION = 1
_WAIT_S = 10.0
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY,
    adapter TEXT NOT NULL,
    started TEXT NOT NULL,
    verdict TEXT NOT NULL,
    report TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS runs_by_adapter ON runs (adapter, started);
"""


def _counts(raw: object) -> object:
    return {key: raw[key] for key in ("k", "n")} if isinstance(raw, dict) else raw


_Rate = Annotated[Rate, BeforeValidator(_counts)]


class _PastRates(BaseModel):
    asr: _Rate
    floor: _Rate
    extension_rate: _Rate


class PastRun(BaseModel):
    """One run as its report has it.

    Attributes:
        adapter: Who was asked.
        started: When.
        verdict: Its verdict.
        versions: The adapter's versions that answered.
        clean_accuracy: CA.
        attacks: ASR, floor and extension rate by family.
    """

    model_config = ConfigDict(frozen=True)

    adapter: str = Field(validation_alias="model")
    started: datetime
    verdict: Verdict
    versions: tuple[str, ...]
    clean_accuracy: _Rate
    attacks: dict[str, _PastRates]


class History:
    """Past runs in a file, which several processes of one machine may write.

    Args:
        path: The file; made when the first run is added.
        keep_days: Older runs are dropped when one is added.
    """

    def __init__(self, path: Path, keep_days: int = 90) -> None:
        self._path = path
        self._keep_days = keep_days

    def add(self, result: ProbeResult) -> None:
        """Keep a run.

        Raises:
            GuardConfigError: The file can't be written, or is none of ours.
        """
        row = (
            result.adapter,
            _stamp(result.started),
            result.verdict,
            json.dumps(result.as_json()),
        )
        with self._open() as database:
            database.execute("INSERT INTO runs (adapter, started, verdict, report) VALUES (?, ?, ?, ?)", row)
            oldest = result.started - timedelta(days=self._keep_days)
            database.execute("DELETE FROM runs WHERE started < ?", (_stamp(oldest),))

    def last(self, adapter: str | None = None, count: int = 20) -> list[PastRun]:
        """Return the latest runs, the oldest of them first.

        Args:
            adapter: Of this adapter alone.
            count: How many at most.

        Raises:
            GuardConfigError: There is no such file, or it can't be read.
        """
        if not self._path.is_file():
            raise GuardConfigError(
                f"there is no history at {self._path}: `p2p-guard probe ... --history` makes one"
            )
        with self._open() as database:
            rows = database.execute(
                "SELECT report FROM runs WHERE ? IN (adapter, '') ORDER BY started DESC, id DESC LIMIT ?",
                (adapter or "", count),
            ).fetchall()
        return [PastRun.model_validate_json(report) for (report,) in reversed(rows)]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(self._path, timeout=_WAIT_S)
            try:
                with database:
                    self._prepare(database)
                    yield database
            finally:
                database.close()
        except (sqlite3.Error, OSError) as error:
            raise GuardConfigError(f"can't use the history {self._path}: {error}") from error

    def _prepare(self, database: sqlite3.Connection) -> None:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise GuardConfigError(f"{self._path} was written by a later p2p-guard. Update p2p-guard.")
        if version < _VERSION:
            database.executescript(f"{_TABLES}PRAGMA user_version = {_VERSION};")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
