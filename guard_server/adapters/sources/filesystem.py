"""Directories and whatever else fsspec reaches: ``hf://``, ``s3://``, ``gs://``, ``https://`` and so on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

from guard_server.adapters.sources.place import shown
from guard_server.errors import SourceError

_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "oss": "ossfs",
    "hdfs": "pyarrow",
}


class FilesystemPlace:
    """A directory behind a URL.

    Args:
        source: A path, or a URL of a directory.
    """

    def __init__(self, source: str) -> None:
        self._shown = shown(source)
        self._fs, self._root = _opened(source)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        with self._errors(name):
            return bool(self._fs.isfile(self._path(name)))

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        with self._errors(name):
            return int(self._fs.size(self._path(name)) or 0)

    def download(self, name: str, target: Path) -> None:
        """Write a file's content to ``target``."""
        with self._errors(name):
            self._fs.get_file(self._path(name), str(target))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # The libraries behind fsspec raise what they like, and their messages may quote a signed URL.
            raise SourceError(f"can't fetch {name} from {self._shown}: {type(error).__name__}") from error


def _opened(source: str) -> tuple[fsspec.AbstractFileSystem, str]:
    scheme = source.partition("://")[0] if "://" in source else "file"
    try:
        # A file system of an earlier call may remember what a moving revision was.
        found: tuple[fsspec.AbstractFileSystem, str] = fsspec.url_to_fs(source, skip_instance_cache=True)
    except ImportError as error:
        package = _PACKAGES.get(scheme, f"fsspec's package for {scheme}://")
        raise SourceError(
            f"{shown(source)} needs a package that is not installed: `pip install {package}`"
        ) from error
    except (ValueError, OSError) as error:
        raise SourceError(
            f"{shown(source)} is no source that fsspec knows: {type(error).__name__}"
        ) from error
    return found
