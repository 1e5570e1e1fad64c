"""The table of faults in the documentation, written from what was measured and never by hand."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.fault_traffic import Row

_HEAD = (
    "| fault | what was done | clients saw, from its beginning until all were answered again | answered again after "
    "| longest wait of any request | without an answer | unguarded |\n|---|---|---|---|---|---|---|\n"
)


def section(name: str, rows: Sequence[Row], command: str) -> str:
    """Return the Markdown of a table between its markers."""
    lines = "".join(_line(row) for row in rows)
    return f"{_begin(name)}\nMeasured {_where()} by `{command}`.\n\n{_HEAD}{lines}{_end(name)}"


def write(path: Path, name: str, text: str) -> None:
    """Put a section where its markers stand in a document.

    Raises:
        ValueError: The document has no such markers.
    """
    document = path.read_text(encoding="utf-8")
    before, found, rest = document.partition(_begin(name))
    _, ended, after = rest.partition(_end(name))
    if not found or not ended:
        raise ValueError(f"{path} has no markers for {name}")
    path.write_text(before + text + after, encoding="utf-8")


def write_figures(path: Path, rows: Sequence[Row]) -> None:
    """Write the figures themselves, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"measured": _where(), "faults": [row._asdict() for row in rows]}, indent=1) + "\n",
        encoding="utf-8",
    )


def _line(row: Row) -> str:
    again = "never" if row.recovery_s is None else f"{row.recovery_s:.2f} s"
    since = f"its end ({row.seconds:.0f} s)" if row.seconds else "its beginning"
    seen = ", ".join(f"{count} of {status}" for status, count in row.during.items()) or "nothing"
    return (
        f"| {row.name} | {row.what} | {seen} | {again} from {since} | {row.longest_wait_s:.1f} s "
        f"| {row.unanswered} | {row.unguarded} |\n"
    )


def _where() -> str:
    load = os.getloadavg()[0]
    return f"{datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores ({platform.machine()}, load average {load:.1f} at the end)"


def _begin(name: str) -> str:
    return f"<!-- {name}: begin -->"


def _end(name: str) -> str:
    return f"<!-- {name}: end -->"
