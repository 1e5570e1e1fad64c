"""Reading a directory of cell results."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer.bench.results import SCHEMA_VERSION, CellResult
from trainer.errors import ReportError


def load_all(directories: Iterable[Path]) -> tuple[CellResult, ...]:
    """Read the cells of several directories; one that several have, such as a shared undefended run, counts once.

    Args:
        directories: See :func:`load_results`.

    Raises:
        ReportError: One of them can't be read.
    """
    cells = {cell.key: cell for directory in directories for cell in load_results(directory)}
    return tuple(cells.values())


def load_results(directory: Path) -> tuple[CellResult, ...]:
    """Read every ``*.json`` of a directory, in the order of their names.

    Args:
        directory: Where the cells are, one file each, or the directory above, with the cells in ``cells``. Deeper ones are not looked at.

    Raises:
        ReportError: There is no such directory, nothing in it, a file that can't be read (it is named), files of another schema
            version, or one key in two files.
    """
    if not directory.is_dir():
        raise ReportError(f"{directory}: no such directory; name the one that `p2p-guard bench` writes to")
    inner = directory / "cells"
    paths = sorted((inner if inner.is_dir() else directory).glob("*.json"))
    if not paths:
        raise ReportError(f"{directory}: no results (*.json) in it; run `p2p-guard bench` first")
    raw = {path: _json(path) for path in paths}
    _one_schema(raw)
    results = {path: _result(path, content) for path, content in raw.items()}
    _distinct_keys(results)
    return tuple(results.values())


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ReportError(f"{path}: can't be read ({error}); remove it, and `bench` makes it anew") from error
    if not isinstance(content, dict):
        raise ReportError(f"{path}: is not a cell result; keep other files out of this directory")
    return content


def _one_schema(raw: dict[Path, dict[str, Any]]) -> None:
    versions = Counter(str(content.get("schema_version", "none")) for content in raw.values())
    if set(versions) == {str(SCHEMA_VERSION)}:
        return
    counted = ", ".join(f"{version} ({count} files)" for version, count in sorted(versions.items()))
    other = next(path for path, content in raw.items() if content.get("schema_version") != SCHEMA_VERSION)
    raise ReportError(
        f"schema versions found: {counted}; this release reads {SCHEMA_VERSION} alone. {other} is the first of another: "
        "report it with the release that wrote it, or measure it anew"
    )


def _result(path: Path, content: dict[str, Any]) -> CellResult:
    try:
        return CellResult.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ReportError(f"{path}: {place}: {first['msg']}; it is no cell result of this release") from error


def _distinct_keys(results: dict[Path, CellResult]) -> None:
    seen: dict[str, Path] = {}
    for path, result in results.items():
        if result.key in seen:
            raise ReportError(f"{path}: holds the same cell ({result.key}) as {seen[result.key]}; remove one")
        seen[result.key] = path
