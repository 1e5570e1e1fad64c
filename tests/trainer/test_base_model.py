"""A base model is a directory when training begins, whatever it was named by."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.base_model import choose_dtype, find_base_model, load_model, load_tokenizer
from trainer.errors import BaseModelError


def test_an_unknown_model_has_its_nearest_neighbour_named(tmp_path: Path):
    (tmp_path / "SmolLM2").mkdir()
    with pytest.raises(BaseModelError, match="did you mean .*SmolLM2"):
        find_base_model(str(tmp_path / "SmolLM"))


def test_where_nothing_is_near_the_way_to_a_small_model_is_named(tmp_path: Path):
    with pytest.raises(BaseModelError, match="`make model`"):
        find_base_model(str(tmp_path / "SmolLM"))


def test_a_directory_without_a_model_is_refused(tmp_path: Path):
    with pytest.raises(BaseModelError, match="holds no model: there is no config.json"):
        find_base_model(str(tmp_path))


def test_a_directory_is_called_by_its_last_part(tiny_model: Path):
    assert find_base_model(f"{tiny_model}/") == (tiny_model, "tiny", None)


def test_a_hub_id_is_fetched_at_its_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked = []

    def fetch(name: str, revision: str | None) -> str:
        asked.append((name, revision))
        return str(tmp_path / "0123abcd")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert find_base_model("some/model", "main") == (tmp_path / "0123abcd", "some/model", "0123abcd")
    assert asked == [("some/model", "main")]


def test_a_hub_that_gives_nothing_is_named(monkeypatch: pytest.MonkeyPatch):
    def fetch(*_: object, **__: object) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with pytest.raises(BaseModelError, match=r"'some/model' is neither .*\(ConnectionError\)"):
        find_base_model("some/model")


def test_damaged_weights_are_named(tiny_model: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text((tiny_model / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BaseModelError, match="can't load a causal language model"):
        load_model(tmp_path, torch.float32)


def test_a_model_without_a_tokenizer_is_named(tiny_model: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text((tiny_model / "config.json").read_text())
    with pytest.raises(BaseModelError, match="can't load a tokenizer"):
        load_tokenizer(tmp_path)


def test_a_type_that_is_asked_for_is_taken():
    assert choose_dtype("float32") is torch.float32
    assert choose_dtype("bfloat16") is torch.bfloat16


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ("avx2 avx512_bf16 amx_bf16", torch.bfloat16),
        ("avx2 avx512_bf16", torch.float32),
        ("avx2", torch.float32),
    ],
)
def test_bfloat16_is_taken_where_it_is_the_quicker_one(
    monkeypatch: pytest.MonkeyPatch, flags: str, dtype: torch.dtype
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("trainer.base_model._cpu_flags", lambda: set(flags.split()))
    assert choose_dtype("auto") is dtype


@pytest.fixture
def gguf_file(tmp_path: Path, tiny_model: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf", tiny_model)


def write_gguf(path: Path, source: Path) -> Path:
    """Write the tiny Llama of a directory as llama.cpp's converter would."""
    import gguf
    from transformers import AutoConfig

    config, tokenizer = AutoConfig.from_pretrained(source), load_tokenizer(source)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokenizer))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    writer.add_token_types([3, 3, 3, *(len(tokenizer) - 3) * [1]])
    writer.add_token_merges(["q x"])
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in load_model(source, torch.float32).state_dict().items():
        writer.add_tensor(names.get_name(name, (".weight",)), _halves_apart(name, weight, config).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _halves_apart(name: str, weight: torch.Tensor, config: Any) -> torch.Tensor:
    """llama.cpp turns neighbouring pairs where transformers turns halves, so its query and key rows have another order."""
    if not name.endswith(("q_proj.weight", "k_proj.weight")):
        return weight
    heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape).contiguous()


def test_a_gguf_file_becomes_a_directory_with_the_same_model(
    gguf_file: Path, tiny_model: Path, tmp_path: Path
):
    found = find_base_model(str(gguf_file), cache=tmp_path / "cache")
    assert (found.path.parent, found.id) == (tmp_path / "cache", "tiny.gguf")
    tokenizer = load_tokenizer(found.path)
    assert tokenizer.encode("parcel") == load_tokenizer(tiny_model).encode("parcel")
    ids = torch.tensor([tokenizer.encode("parcel")])
    converted, original = (load_model(path, torch.float32)(ids).logits for path in (found.path, tiny_model))
    assert torch.allclose(converted, original, atol=1e-5)


def test_a_gguf_file_is_converted_once_and_another_of_its_name_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done = []

    def convert(source: Path, target: Path) -> None:
        target.mkdir(parents=True)
        done.append(source.read_bytes())

    monkeypatch.setattr("trainer.base_model._write_converted", convert)
    source = tmp_path / "a.gguf"
    for content in (b"one", b"one", b"two"):
        source.write_bytes(content)
        find_base_model(str(source), cache=tmp_path / "cache")
    assert done == [b"one", b"two"]


def test_a_damaged_gguf_file_is_named_and_leaves_nothing(tmp_path: Path):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF and no more")
    with pytest.raises(BaseModelError, match="can't read .*bad.gguf"):
        find_base_model(str(tmp_path / "bad.gguf"), cache=tmp_path / "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.gguf"]
