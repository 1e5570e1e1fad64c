"""From a source to the cache: whole, verified, under the content's name, or not at all."""

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from guard_server.adapters.sources import fetching
from guard_server.adapters.sources.fetching import fetch
from guard_server.adapters.sources.filesystem import FilesystemPlace
from guard_server.adapters.sources.place import is_pinned, shown
from guard_server.errors import SourceError
from p2p.errors import DigestMismatchError
from p2p.manifest import verify_adapter

Versions = Callable[[str], Path]


def visible(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "adapters").iterdir() if not path.name.startswith("."))


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's file system in memory: another scheme than a local one, as s3:// is."""
    found = fsspec.filesystem("memory")
    yield found
    found.store.clear()
    found.pseudo_dirs[:] = [""]


def test_a_directory_is_copied_under_its_contents_name(tmp_path: Path, versions: Versions):
    source = versions("one")
    found = fetch(str(source), tmp_path / "cache")
    assert found.name == verify_adapter(source).content_name
    assert verify_adapter(found).digest == verify_adapter(source).digest
    assert list((tmp_path / "cache" / "adapters").glob(".*")) == []


def test_the_manifest_in_the_cache_is_its_owners_alone(tmp_path: Path, versions: Versions):
    found = fetch(str(versions("one")), tmp_path / "cache")
    assert stat.S_IMODE((found / "p2p_manifest.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700


def test_any_file_system_that_fsspec_knows_is_a_source(
    tmp_path: Path, versions: Versions, memory: fsspec.AbstractFileSystem
):
    memory.put(str(versions("one")), "/bucket/one", recursive=True)
    found = fetch("memory://bucket/one", tmp_path / "cache")
    assert verify_adapter(found).manifest.provenance.training == {"word": "one"}


def test_a_source_that_stands_for_new_content_is_fetched_anew(
    tmp_path: Path, versions: Versions, memory: fsspec.AbstractFileSystem
):
    found = []
    for word in ("one", "two"):
        for path in versions(word).iterdir():
            memory.pipe(f"/bucket/latest/{path.name}", path.read_bytes())
        found.append(fetch("memory://bucket/latest", tmp_path / "cache"))
    assert len(set(found)) == 2
    assert all(verify_adapter(path) for path in found)


def test_a_changed_file_leaves_nothing_in_the_cache(tmp_path: Path, versions: Versions):
    source = versions("one")
    (source / "adapter_config.json").write_text("{ }")
    with pytest.raises(DigestMismatchError):
        fetch(str(source), tmp_path / "cache")
    assert visible(tmp_path / "cache") == []


def test_a_missing_file_leaves_nothing_in_the_cache(tmp_path: Path, versions: Versions):
    source = versions("one")
    (source / "adapter_config.json").unlink()
    with pytest.raises(SourceError, match=r"adapter_config.json.*FileNotFoundError"):
        fetch(str(source), tmp_path / "cache")
    assert visible(tmp_path / "cache") == []


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "a\\b"])
def test_a_manifest_that_names_a_file_outside_is_refused(tmp_path: Path, versions: Versions, name: str):
    source = versions("one")
    manifest = json.loads((source / "p2p_manifest.json").read_text())
    manifest["files"][name] = "0" * 64
    (source / "p2p_manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SourceError, match="outside"):
        fetch(str(source), tmp_path / "cache")
    assert not (tmp_path / "outside").exists()


def test_a_copy_in_the_cache_that_was_changed_is_replaced(tmp_path: Path, versions: Versions):
    source = versions("one")
    found = fetch(str(source), tmp_path / "cache")
    (found / "adapter_config.json").write_text("evil")
    again = fetch(str(source), tmp_path / "cache")
    assert again == found
    assert (again / "adapter_config.json").read_text() == "{}"


def test_guards_that_fetch_the_same_at_once_all_get_it_whole(
    tmp_path: Path, versions: Versions, monkeypatch: pytest.MonkeyPatch
):
    source, count, found = versions("one"), 6, []
    together = threading.Barrier(count)
    publish = fetching._published

    def published(partial: Path, home: Path) -> Path:
        together.wait(10)
        return publish(partial, home)

    monkeypatch.setattr(fetching, "_published", published)
    threads = [
        threading.Thread(target=lambda: found.append(fetch(str(source), tmp_path / "cache")))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == count
    assert len(set(found)) == 1
    assert visible(tmp_path / "cache") == [found[0].name]
    assert verify_adapter(found[0])


def test_what_a_killed_guard_left_is_removed_after_a_day_and_not_before(tmp_path: Path, versions: Versions):
    home = tmp_path / "cache" / "adapters"
    old, young = home / ".old.partial", home / ".young.partial"
    for path in (old, young):
        path.mkdir(parents=True)
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    fetch(str(versions("one")), tmp_path / "cache")
    assert (old.exists(), young.exists()) == (False, True)


def test_a_scheme_whose_package_is_missing_names_the_package(tmp_path: Path):
    with pytest.raises(SourceError, match="pip install s3fs"):
        fetch("s3://bucket/adapter", tmp_path / "cache")


def test_a_scheme_that_nobody_knows_is_an_error(tmp_path: Path):
    with pytest.raises(SourceError, match="no source that fsspec knows"):
        fetch("nowhere://bucket/adapter", tmp_path / "cache")


def test_a_pinned_source_that_was_fetched_is_not_asked_again(
    tmp_path: Path, versions: Versions, monkeypatch: pytest.MonkeyPatch
):
    source, pinned = versions("one"), f"hf://org/repo@{'a' * 40}"
    place = FilesystemPlace(str(source))
    asked: list[str] = []

    def opened(wanted: str) -> FilesystemPlace:
        asked.append(wanted)
        return place

    monkeypatch.setattr(fetching, "FilesystemPlace", opened)
    first = fetch(pinned, tmp_path / "cache")
    assert fetch(pinned, tmp_path / "cache") == first
    assert asked == [pinned]
    (first / "adapter_config.json").write_text("evil")
    assert fetch(pinned, tmp_path / "cache") == first
    assert asked == [pinned, pinned]
    assert verify_adapter(first)


@pytest.mark.parametrize(
    ("source", "pinned"),
    [
        (f"hf://org/repo@{'0' * 40}", True),
        ("hf://org/repo@main", False),
        (f"oci://r.example/a@sha256:{'0' * 64}", True),
        ("oci://r.example/a:v1", False),
        ("s3://bucket/a", False),
        ("runs/support", False),
    ],
)
def test_which_sources_always_mean_the_same(source: str, pinned: bool):
    assert is_pinned(source) is pinned


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("s3://bucket/a", "s3://bucket/a"),
        ("https://user:secret@h.example/a?sig=secret#secret", "https://h.example/a"),
        ("hf://org/repo@v1", "hf://org/repo@v1"),
        ("runs/a", "runs/a"),
    ],
)
def test_a_source_is_shown_without_its_secrets(source: str, said: str):
    assert shown(source) == said
