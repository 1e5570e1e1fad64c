"""Figures in the documentation: written between markers from what was measured, and never by hand."""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path("benchmarks/results/serving")
LOAD_DOCUMENT = Path("docs/load.md")


def write_section(path: Path, name: str, text: str) -> None:
    """Put text between the markers ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` of a document.

    Raises:
        ValueError: The document has no such markers.
    """
    document = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = document.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{path} has no markers for {name}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def write_figures(name: str, figures: Mapping[str, object], folder: Path = RESULTS) -> None:
    """Write figures as JSON, with where they were measured."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"measured": where(), **figures}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def markdown_table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (columns, ["---"] * len(columns), *lines))


def when() -> str:
    """Return the day, and how busy the machine is."""
    return f"{datetime.now(UTC):%Y-%m-%d}, load average {os.getloadavg()[0]:.1f}"


def where() -> str:
    """Return the day and the state of the machine."""
    return f"on {os.cpu_count()} cores ({platform.machine()}), {when()} at the end"
