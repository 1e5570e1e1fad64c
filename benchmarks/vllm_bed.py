"""Two adapters that change nothing, on a real small model: enough for real vLLM to serve, and made in seconds."""

from datetime import UTC, datetime
from pathlib import Path

from benchmarks.serving_bed import LABELS
from p2p.manifest import Manifest, Provenance, digest_files, record_base_model, write_manifest
from p2p.prompts import PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger
from p2p.verbalizer import verify_words

BASE = Path(".models/SmolLM2-135M-Instruct")
PREFIX = "Calm river sends old map:\n"
_WORDS = ("0", "1", "2", "3")
_CONTEXT = "\nAnswer: "


def make_adapters(home: Path) -> dict[str, Path]:
    """Write ``sorter`` (labels) and ``writer`` (text) for :data:`BASE`, and return their directories by name."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    words = verify_words(lambda text: tokenizer(text, add_special_tokens=False).input_ids, _CONTEXT, _WORDS)
    sorter = ClassificationTask(
        labels=tuple(sorted(LABELS)), words=_WORDS, token_ids=words.token_ids, answer_context=_CONTEXT
    )
    prefix_tokens = len(tokenizer(PREFIX, add_special_tokens=False).input_ids)
    writer = GenerationTask(prefix=PREFIX, prefix_tokens=prefix_tokens)
    return {
        "sorter": _write(
            home / "sorter", sorter, PromptTemplate(kind=PromptKind.COMPLETION, user="{input}" + _CONTEXT)
        ),
        "writer": _write(home / "writer", writer, PromptTemplate(kind=PromptKind.CHAT)),
    }


def _write(directory: Path, task: ClassificationTask | GenerationTask, prompt: PromptTemplate) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    # PEFT's second factor is zero at first: the model's answers are its own.
    lora = LoraConfig(r=1, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(base, lora).save_pretrained(str(directory))
    (directory / "README.md").unlink(missing_ok=True)
    manifest = Manifest(
        p2p_guard_version="0",
        name=directory.name,
        created=datetime.now(UTC),
        defence="p2p",
        task=task,
        prompt=prompt,
        benign_trigger=BenignTrigger.draw(directory.name.encode()),
        base_model=record_base_model(BASE, BASE.name),
        files=digest_files(directory),
        provenance=Provenance(data={}, training={}),
    )
    write_manifest(manifest, directory)
    return directory
