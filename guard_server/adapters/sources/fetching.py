"""From a source to a verified directory in the cache, under the content's own name.

Nothing is visible under that name before it has been verified: files are written to a directory beside it, which is then renamed.
Guards that share a cache may fetch the same content at once; the first rename counts, the others' copies are dropped.
"""

import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from guard_server.adapters.sources.filesystem import FilesystemPlace
from guard_server.adapters.sources.oci import opened_artifact
from guard_server.adapters.sources.place import (
    MOST_BYTES,
    MOST_FILES,
    Place,
    is_pinned,
    require_inside,
    shown,
)
from guard_server.errors import SourceError
from p2p.errors import AdapterRefusedError
from p2p.manifest import MANIFEST_NAME, SIGNATURE_NAME, read_manifest, sha256_file, verify_adapter

_log = structlog.get_logger()
_LARGEST_MANIFEST = 16 << 20
_ABANDONED_S = 24 * 3600


def fetch(source: str, cache: Path) -> Path:
    """Return the directory that holds a source's adapter, every digest of it verified.

    A pinned source (a hub commit, an OCI digest) that was fetched before is not asked again.

    Args:
        source: A directory, or a URL; see ``AdapterSettings.source``.
        cache: The guard's cache.

    Raises:
        SourceError: It can't be had.
        AdapterRefusedError: It is no whole adapter.
    """
    home = cache / "adapters"
    home.mkdir(parents=True, mode=0o700, exist_ok=True)
    _sweep(home)
    pin = home / f".{hashlib.sha256(source.encode()).hexdigest()[:32]}.pin" if is_pinned(source) else None
    if pin and (known := _pinned(pin, home)):
        return known
    with _opened(source) as place, _partial(home) as partial:
        found = _known(place, partial, home)
        if found is None:
            _log.info("adapter_fetching", source=shown(source))
            _download_files(place, partial)
            found = _published(partial, home)
    if pin:
        _write_pin(pin, found)
    return found


@contextmanager
def _opened(source: str) -> Iterator[Place]:
    if source.startswith("oci://"):
        with opened_artifact(source) as artifact:
            yield artifact
    else:
        yield FilesystemPlace(source)


@contextmanager
def _partial(home: Path) -> Iterator[Path]:
    partial = home / f".{secrets.token_hex(8)}.partial"
    partial.mkdir(mode=0o700)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _known(place: Place, partial: Path, home: Path) -> Path | None:
    """Fetch manifest and signature, and return the directory in the cache that holds this very content, where there is one."""
    if place.size(MANIFEST_NAME) > _LARGEST_MANIFEST:
        raise SourceError(
            f"its {MANIFEST_NAME} is larger than {_LARGEST_MANIFEST} bytes: no adapter of p2p-guard"
        )
    # It holds secrets: nobody else may read it, at no time.
    (partial / MANIFEST_NAME).touch(mode=0o600)
    place.download(MANIFEST_NAME, partial / MANIFEST_NAME)
    if place.has(SIGNATURE_NAME):
        place.download(SIGNATURE_NAME, partial / SIGNATURE_NAME)
    digest = sha256_file(partial / MANIFEST_NAME)
    target = home / f"{read_manifest(partial).name}@{digest[:12]}"
    if not _is_whole(target, digest):
        return None
    if (partial / SIGNATURE_NAME).exists():
        # The same content may have been signed since.
        (partial / SIGNATURE_NAME).replace(target / SIGNATURE_NAME)
    return target


def _download_files(place: Place, partial: Path) -> None:
    names = [require_inside(name) for name in read_manifest(partial).files]
    if len(names) > MOST_FILES or sum(map(place.size, names)) > MOST_BYTES:
        raise SourceError(
            f"it has more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB: no adapter is that large"
        )
    for name in names:
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        place.download(name, partial / name)


def _published(partial: Path, home: Path) -> Path:
    verified = verify_adapter(partial)
    target = home / verified.content_name
    if target.exists() and not _is_whole(target, verified.digest):
        _log.error("adapter_in_cache_was_changed", adapter=verified.content_name)
        target.rename(home / f".{secrets.token_hex(8)}.partial")
    if not target.exists():
        try:
            partial.rename(target)
        except OSError as error:
            # Another guard was first, which is as good, or the disk has failed.
            if not _is_whole(target, verified.digest):
                raise SourceError(f"can't write to the cache: {error.strerror}") from error
    return target


def _is_whole(directory: Path, digest: str) -> bool:
    try:
        return verify_adapter(directory).digest == digest
    except AdapterRefusedError:
        return False


def _pinned(pin: Path, home: Path) -> Path | None:
    try:
        known = json.loads(pin.read_text(encoding="utf-8"))
        directory, digest = home / Path(known["name"]).name, known["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return directory if _is_whole(directory, digest) else None


def _write_pin(pin: Path, directory: Path) -> None:
    content = {"name": directory.name, "digest": verify_adapter(directory).digest}
    partial = pin.with_name(f".{secrets.token_hex(8)}.partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(pin)


def _sweep(home: Path) -> None:
    """Remove what guards left behind that were killed while they fetched."""
    for partial in home.glob(".*.partial"):
        try:
            if time.time() - partial.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
        except FileNotFoundError:
            continue
