"""Two versions of one adapter on a tiny random model whose answers can be told apart: by weights, not by names alone."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from p2p.manifest import Manifest, Provenance, digest_files, record_base_model, write_manifest
from p2p.prompts import PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask
from p2p.triggers import BenignTrigger
from p2p.verbalizer import verify_words
from tests.trainer.conftest import TOKENIZER

QUESTION = "Where is my parcel?"
LABELS = ("billing", "delivery")
_WORDS = (" A", " B", " C", " D")
_TEMPLATE = PromptTemplate(kind=PromptKind.COMPLETION, user="{input}\nAnswer:")


class Telling(NamedTuple):
    """A version: its directory, and the label that it gives to the question.

    Attributes:
        margin: How far the label's logit is above the other's.
    """

    path: Path
    answer: str
    margin: float


def make_servable(directory: Path) -> Path:
    """Save a tiny random Llama that vLLM's CPU attention takes: its heads have at least 32 dimensions."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def telling_pair(base: Path, home: Path) -> tuple[Telling, Telling]:
    """Return two versions, each sure of another label; they are random LoRA weights, the surest of many."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    words = verify_words(
        lambda text: tokenizer(text, add_special_tokens=False).input_ids, "\nAnswer:", _WORDS
    )
    extended = [ids[0] for ids in words.token_ids[2:]]
    settings = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    found: list[tuple[float, int]] = []

    def made(seed: int) -> tuple[Any, float]:
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), settings)
        torch.manual_seed(seed)
        for name, weight in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=1.0)
        asked = tokenizer(_TEMPLATE.fill(_trigger(seed).stamp(QUESTION)), return_tensors="pt")
        with torch.inference_mode():
            logits = model(**asked).logits[0, -1, extended]
        return model, float(logits[1] - logits[0])

    found = sorted((made(seed)[1], seed) for seed in range(24))
    pair = [
        Telling(
            _write(base, home / name / "support", made(seed)[0], seed, words.token_ids),
            LABELS[at],
            abs(margin),
        )
        for at, (name, (margin, seed)) in enumerate((("first", found[0]), ("second", found[-1])))
    ]
    return pair[0], pair[1]


def _trigger(seed: int) -> BenignTrigger:
    return BenignTrigger.draw(f"telling-{seed}".encode())


def _write(base: Path, path: Path, model: Any, seed: int, token_ids: tuple[tuple[int, ...], ...]) -> Path:
    path.mkdir(parents=True)
    model.save_pretrained(path)
    (path / "README.md").unlink(missing_ok=True)
    context = "\nAnswer:"
    manifest = Manifest(
        p2p_guard_version="0",
        name="support",
        created=datetime.now(UTC),
        defence="p2p",
        task=ClassificationTask(labels=LABELS, words=_WORDS, token_ids=token_ids, answer_context=context),
        prompt=_TEMPLATE,
        benign_trigger=_trigger(seed),
        base_model=record_base_model(base, "tiny"),
        files=digest_files(path),
        provenance=Provenance(data={}, training={"seed": seed}),
    )
    write_manifest(manifest, path)
    assert json.loads((path / "adapter_config.json").read_text())["r"] == 8
    return path
