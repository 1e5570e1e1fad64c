"""The table of faults in the documentation."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.documents import RESULTS, write_figures, write_section
from benchmarks.fault_traffic import Row

DOCUMENT = Path("docs/faults.md")
_HEAD = (
    "| fault | what was done | clients saw, from its beginning until all were answered again | answered again after "
    "| longest wait of any request | without an answer | unguarded | measured |\n|---|---|---|---|---|---|---|---|\n"
)


def write(engine: str, rows: Sequence[Row], order: Sequence[str]) -> None:
    """Write rows into the documentation and beside the other figures; those of other faults stay as they were measured.

    Args:
        engine: Which table.
        rows: What was measured now.
        order: The names of all faults, in the order of the table.
    """
    measured = _known(RESULTS / f"faults-{engine}.json") | {row.name: row for row in rows}
    all_rows = [measured[name] for name in order if name in measured]
    write_figures(f"faults-{engine}", {"faults": [row._asdict() for row in all_rows]})
    text = f"Measured by `python -m benchmarks.faults {engine} --write`.\n\n{table(all_rows)}"
    write_section(DOCUMENT, engine, text)


def table(rows: Sequence[Row]) -> str:
    """Return the rows in Markdown."""
    return _HEAD + "".join(map(_line, rows)).rstrip("\n")


def _known(path: Path) -> dict[str, Row]:
    if not path.exists():
        return {}
    return {row["name"]: Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))["faults"]}


def _line(row: Row) -> str:
    again = "never" if row.recovery_s is None else f"{row.recovery_s:.2f} s"
    since = f"its end (it lasted {row.seconds:.0f} s)" if row.seconds else "its beginning"
    seen = ", ".join(f"{count} of {status}" for status, count in row.during.items()) or "nothing"
    return (
        f"| {row.name} | {row.what} | {seen} | {again} from {since} | {row.longest_wait_s:.1f} s "
        f"| {row.unanswered} | {row.unguarded} | {row.measured} |\n"
    )
