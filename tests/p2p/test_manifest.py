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
    edit(adapter, schema_version=4)
    with pytest.raises(ManifestTooNewError, match="Update p2p-guard"):
        read_manifest(adapter)


def test_a_manifest_of_schema_1_is_read_with_one_token_a_word(adapter: Path):
    task = read_manifest(adapter).task.model_dump(mode="json") | {"token_ids": [0, 1, 2, 3]}
    del task["new_tokens"]
    edit(adapter, schema_version=1, task=task)
    found = verify_adapter(adapter).manifest
    assert found.schema_version == 3
    assert found.task == classification()
    assert found.task.token_ids == ((0,), (1,), (2,), (3,))


def test_a_manifest_of_schema_1_with_words_of_several_tokens_contradicts_itself(adapter: Path):
    edit(adapter, schema_version=1)
    with pytest.raises(ManifestInvalidError, match="token_ids"):
        read_manifest(adapter)


def test_a_manifest_of_schema_2_has_its_trigger_before_the_input(adapter: Path):
    trigger = {"text": TRIGGER.text, "placement": "every_user"}
    edit(adapter, schema_version=2, benign_trigger=trigger)
    found = verify_adapter(adapter).manifest.benign_trigger
    assert found.stamp("late?") == f"{TRIGGER.text}late?"
    assert (found.placement, found.position) == ("every_user", "before")


def test_what_is_written_is_of_the_present_schema(adapter: Path):
    written = json.loads((adapter / MANIFEST_NAME).read_text())
    assert written["schema_version"] == 3
    assert written["benign_trigger"]["position"] == "before"
    assert written["task"]["token_ids"] == [[0], [1], [2], [3]]


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
