from pathlib import Path

import pytest

from guard_server.adapter import load_adapters
from guard_server.errors import GuardConfigError
from guard_server.settings import GuardConfig
from p2p.errors import BaseModelMismatchError, DigestMismatchError, LabelWordsError, ManifestMissingError
from tests.guard_server.conftest import classification, write_adapter


def test_a_whole_adapter_is_loaded(config: GuardConfig):
    assert load_adapters(config)["support"].target.startswith("support@")


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_changed_byte_in_any_file_is_refused(config: GuardConfig, adapters: dict[str, Path], name: str):
    path = adapters["support"] / name
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    with pytest.raises(DigestMismatchError, match=f"has changed {name}.*copy the directory again"):
        load_adapters(config)


def test_a_file_that_the_manifest_does_not_list_is_refused(config: GuardConfig, adapters: dict[str, Path]):
    (adapters["support"] / "extra.bin").write_bytes(b"x")
    with pytest.raises(DigestMismatchError, match="unlisted extra.bin"):
        load_adapters(config)


def test_a_missing_manifest_is_refused(config: GuardConfig, adapters: dict[str, Path]):
    (adapters["support"] / "p2p_manifest.json").unlink()
    with pytest.raises(ManifestMissingError, match="p2p-guard train"):
        load_adapters(config)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_another_base_model_is_refused(config: GuardConfig, base_model: Path, name: str):
    (base_model / name).write_text((base_model / name).read_text() + "\n")
    with pytest.raises(BaseModelMismatchError, match="Serve it with the base model it was trained on"):
        load_adapters(config)


def test_label_words_of_another_tokenizer_are_refused(tmp_path: Path, config: GuardConfig, base_model: Path):
    task = classification().model_copy(update={"token_ids": ((0,), (1,), (3,), (2,))})
    path = write_adapter(tmp_path / "swapped", base_model, task)
    swapped = config.adapters[0].model_copy(update={"path": path})
    with pytest.raises(LabelWordsError, match="Train it again"):
        load_adapters(config.model_copy(update={"adapters": (swapped,)}))


def test_an_undefended_adapter_is_refused_without_both_switches(
    tmp_path: Path, config: GuardConfig, base_model: Path
):
    path = write_adapter(tmp_path / "plain", base_model, classification(), defended=False)
    plain = config.adapters[0].model_copy(update={"path": path})
    for switches in ({}, {"unsafe_allow_unguarded": True}):
        with pytest.raises(GuardConfigError, match="unsafe-allow-unguarded"):
            load_adapters(config.model_copy(update={"adapters": (plain,), **switches}))
    opened = plain.model_copy(update={"unguarded": True})
    with pytest.raises(GuardConfigError, match="unsafe-allow-unguarded"):
        load_adapters(config.model_copy(update={"adapters": (opened,)}))
    allowed = config.model_copy(update={"adapters": (opened,), "unsafe_allow_unguarded": True})
    assert load_adapters(allowed)[opened.name].unguarded
