"""Tiny random models. With the small real model's tokenizer, everything but the size is real; with one token a byte, nothing
has to be fetched and a test can count tokens by hand.
"""

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console

QUIET = Console(file=io.StringIO())
TOKENIZER = Path(".models/SmolLM2-135M-Instruct")
_WORDS = {
    "billing": ["invoice", "charge", "refund", "price"],
    "delivery": ["parcel", "courier", "late", "van"],
}
_SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def make_byte_tokenizer(directory: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "qx"]
    # The one merge is for GGUF files, which hold at least one.
    bare = Tokenizer(models.BPE({name: at for at, name in enumerate(names)}, [("q", "x")]))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.chat_template = (
        "{% for turn in messages %}<{{ turn['role'] }}>{{ turn['content'] }}\n{% endfor %}<assistant>"
    )
    tokenizer.save_pretrained(directory)
    return directory


def make_tiny(directory: Path, family: str = "llama", tokenizer_of: Path = TOKENIZER) -> Path:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    more: dict[str, Any] = {"head_dim": 16} if family.startswith(("gemma", "qwen3", "mistral")) else {}
    config = AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        num_key_value_heads=1,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **_SIZES,
        **more,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def write_rows(path: Path, count: int, name: str) -> Path:
    rng = Random(name)
    labels = list(_WORDS)
    rows = [(labels[at % 2], f"{name} {at}") for at in range(count)]
    lines = [
        json.dumps(
            {"id": key, "text": f"my {rng.choice(_WORDS[label])} is {rng.random():.6f}", "label": label}
        )
        for label, key in rows
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return make_tiny(folder / "tiny", tokenizer_of=make_byte_tokenizer(folder / "bytes"))


@pytest.fixture(scope="session")
def decided_model(tiny_model: Path) -> Any:
    """The tiny model with a random output head: its choices differ from prompt to prompt and are far from ties."""
    import torch

    from trainer.base_model import load_model

    model = load_model(tiny_model, torch.float32).requires_grad_(requires_grad=False).eval()
    head = model.get_output_embeddings().weight
    head.data = torch.randn(head.shape, generator=torch.Generator().manual_seed(3))
    return model


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Any:
    from trainer.base_model import load_tokenizer

    return load_tokenizer(tiny_model)


def make_settings(folder: Path, model: Path) -> dict[str, Any]:
    return {
        "name": "tiny",
        "base_model": str(model),
        "output": str(folder / "out"),
        "seed": 7,
        "benign_trigger": {"source": "seed"},
        "data": {
            "train": {"path": str(write_rows(folder / "train.jsonl", 48, "train")), "id": "id"},
            "trusted": {"path": str(write_rows(folder / "trusted.jsonl", 8, "trusted")), "id": "id"},
            "test": {"path": str(write_rows(folder / "test.jsonl", 16, "test")), "id": "id"},
        },
        "prompt": {"kind": "completion", "user": "{input}\nAnswer: "},
        "lora": {"rank": 4, "dropout": 0.1},
        "training": {"epochs": 1, "batch_size": 8, "max_length": 160},
        "evaluation": {"attacks": [{"name": "badnets", "word": "mn", "target": "billing"}]},
    }


@pytest.fixture
def settings(tmp_path: Path, tiny_model: Path) -> dict[str, Any]:
    return make_settings(tmp_path, tiny_model)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """An adapter directory; the data that it was trained on lies beside it. Not to be written to."""
    from trainer.config import TrainConfig
    from trainer.recipe import train

    settings = make_settings(tmp_path_factory.mktemp("trained"), tiny_model)
    return train(TrainConfig.model_validate(settings), QUIET).path
