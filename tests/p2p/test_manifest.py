import json
from pathlib import Path

import pytest

from p2p.errors import ManifestInvalidError, ManifestTooNewError
from p2p.manifest import MANIFEST_NAME, read_manifest, verify_adapter
from tests.guard_server.conftest import TRIGGER, classification, write_adapter


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "tokenizer.json").write_text("{}")
    return write_adapter(tmp_path / "adapter", base, classification())


def edit(adapter: Path, **changes: object) -> None:
    path = adapter / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_manifest_is_readable_by_its_owner_alone(adapter: Path):
    assert (adapter / MANIFEST_NAME).stat().st_mode & 0o777 == 0o600


def test_the_content_name_follows_the_content(adapter: Path):
    before = verify_adapter(adapter).content_name
    edit(adapter, created="2020-01-01T00:00:00Z")
    assert verify_adapter(adapter).content_name != before


def test_a_newer_schema_is_refused(adapter: Path):
    edit(adapter, schema_version=2)
    with pytest.raises(ManifestTooNewError, match="Update p2p-guard"):
        read_manifest(adapter)


@pytest.mark.parametrize("change", [{"defence": "none"}, {"unknown": 1}, {"name": "../x"}])
def test_a_manifest_that_contradicts_itself_is_refused_without_its_secrets(
    adapter: Path, change: dict[str, object]
):
    edit(adapter, **change)
    with pytest.raises(ManifestInvalidError) as caught:
        read_manifest(adapter)
    assert TRIGGER.text.strip() not in str(caught.value)


def test_the_benign_trigger_is_in_no_repr(adapter: Path):
    manifest = read_manifest(adapter)
    assert "Amber" not in repr(manifest) + str(manifest) + repr(manifest.benign_trigger)
