"""What a place must be able to do, and what holds for every place."""

import re
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import urlsplit

from guard_server.errors import SourceError

MOST_FILES = 2_000
MOST_BYTES = 32 << 30
"""A LoRA adapter of the largest models is a few GB; what is larger is not fetched, so that a place can't fill the disk."""


class Place(Protocol):
    """The files of one adapter. Each method raises SourceError when a file can't be had."""

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        ...

    def size(self, name: str) -> int:
        """Return a file's size in bytes, as the place tells it."""
        ...

    def download(self, name: str, target: Path) -> None:
        """Write a file's content to ``target``, which does not exist yet."""
        ...


def require_inside(name: str) -> str:
    """Return a file's name when it can't lead out of the directory that it is written to.

    Raises:
        SourceError: It could.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise SourceError(
            "the manifest names a file outside of the adapter's directory: do not use this source"
        )
    return name


def shown(source: str) -> str:
    """Return a source for logs and answers: without user, password and query, which may be secrets."""
    if "://" not in source:
        return source
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2] if ':' in parts.netloc else parts.netloc}{parts.path}"


def is_pinned(source: str) -> bool:
    """Whether a source always means the same content: a hub commit, or an OCI digest."""
    return bool(re.search(r"^hf://.+@[0-9a-f]{40}$|^oci://.+@sha256:[0-9a-f]{64}$", source))
