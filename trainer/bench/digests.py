"""Files by content: a data file that changes is another one, wherever it lies, and so is a base model of the same name."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from p2p.manifest import sha256_file

_PATHS = ("path", "rewrites", "clean")
"""The keys of a suite whose values are files: of data sources, and of attacks by rewriting."""

_MODEL_FILES = ("*.json", "*.safetensors", "*.bin", "*.model", "merges.txt", "*.jinja")


def inside(path: str, folder: Path) -> str:
    """Return a path inside the folder of data sets where it is there, and as it stands otherwise."""
    return str(folder / path) if (folder / path).exists() else path


def paths_inside(block: Any, folder: Path) -> Any:  # noqa: ANN401 - any part of a YAML
    """Return a part of a suite with its paths inside the folder of data sets, where they are there.

    Args:
        block: Mappings, lists and values; what is no path stays as it is.
        folder: The folder of data sets.
    """
    return _with_paths(block, lambda path: inside(path, folder))


def by_content(block: Any, folder: Path) -> Any:  # noqa: ANN401 - any part of a YAML
    """Return a part of a suite with the contents of its files in place of their paths.

    Args:
        block: Mappings, lists and values; what is no path stays as it is.
        folder: The folder of data sets.

    Returns:
        The same with the file's stem, which numbered rows are called by, and its SHA-256. A path without a file stays: it may be
        an id of the hub.
    """
    return _with_paths(block, lambda path: _content(path, folder))


def missing_files(block: Any, folder: Path) -> list[str]:  # noqa: ANN401 - any part of a YAML
    """Return the paths of a part of a suite that name a file which is not there, each once.

    Args:
        block: Mappings, lists and values.
        folder: The folder of data sets.
    """
    found: dict[str, bool] = {}
    _with_paths(block, lambda path: found.setdefault(path, Path(inside(path, folder)).is_file()))
    # Without a suffix it is an id of the hub.
    return [path for path, is_there in found.items() if not is_there and Path(path).suffix]


def model_digest(directory: Path) -> str:
    """Return a SHA-256 over the files of a base model: configuration, tokenizer and weights.

    Args:
        directory: Where it is.
    """
    together = hashlib.sha256()
    for path in sorted({path for pattern in _MODEL_FILES for path in directory.glob(pattern)}):
        together.update(f"{path.name}\0{_file_digest(path)}\n".encode())
    return together.hexdigest()


def _with_paths(block: Any, change: Callable[[str], object]) -> Any:  # noqa: ANN401 - any part of a YAML
    if isinstance(block, list | tuple):
        return [_with_paths(each, change) for each in block]
    if not isinstance(block, dict):
        return block
    return {
        key: change(value) if key in _PATHS and isinstance(value, str) else _with_paths(value, change)
        for key, value in block.items()
    }


def _content(path: str, folder: Path) -> str:
    file = Path(inside(path, folder))
    return f"{file.stem}:{_file_digest(file)}" if file.is_file() else path


def _file_digest(path: Path) -> str:
    facts = path.stat()
    return _digest_of(path.resolve(), facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=1024)
def _digest_of(path: Path, changed: int, size: int) -> str:  # noqa: ARG001 - a file that has changed is read anew
    return sha256_file(path)
