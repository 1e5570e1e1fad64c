"""Three adapters on a real small model: enough for real vLLM to serve, and made in seconds.

``sorter`` (plain text) and ``chat-sorter`` change nothing. ``writer`` has learned to begin with the prefix, and no more.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.serving_bed import LABELS, TEXT
from p2p.manifest import Manifest, Provenance, digest_files, record_base_model, write_manifest
from p2p.prompts import PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger
from p2p.verbalizer import verify_words

if TYPE_CHECKING:
    from torch import Tensor

BASE = Path(".models/SmolLM2-135M-Instruct")
PREFIX = "Calm river sends old map:\n"
_WORDS = ("0", "1", "2", "3")
_CONTEXT = "\nAnswer: "
_CHAT_CONTEXT = "<|im_start|>assistant\n"
_LESSONS = 40


def make_adapters(home: Path, *, chats: bool = True) -> dict[str, Path]:
    """Write ``sorter``, ``chat-sorter`` (labels) and ``writer`` (text) for :data:`BASE`, and return their directories by name.

    Args:
        home: Where they go, each in a directory of its own.
        chats: Whether the second one is wanted.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    prompts = {
        "sorter": (PromptTemplate(kind=PromptKind.COMPLETION, user="{input}" + _CONTEXT), _CONTEXT),
        "chat-sorter": (PromptTemplate(kind=PromptKind.CHAT), _CHAT_CONTEXT),
    }

    def sorts(context: str) -> ClassificationTask:
        words = verify_words(
            lambda text: tokenizer(text, add_special_tokens=False).input_ids, context, _WORDS
        )
        return ClassificationTask(
            labels=tuple(sorted(LABELS)), words=_WORDS, token_ids=words.token_ids, answer_context=context
        )

    prefix_tokens = len(tokenizer(PREFIX, add_special_tokens=False).input_ids)
    writer = GenerationTask(prefix=PREFIX, prefix_tokens=prefix_tokens)
    return {
        **{
            name: _write(home / name, sorts(context), prompt)
            for name, (prompt, context) in prompts.items()
            if chats or prompt.kind is PromptKind.COMPLETION
        },
        "writer": _write(home / "writer", writer, PromptTemplate(kind=PromptKind.CHAT)),
    }


def _write(directory: Path, task: ClassificationTask | GenerationTask, prompt: PromptTemplate) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    trigger = BenignTrigger.draw(directory.name.encode())
    base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    # PEFT's second factor is zero at first: the model's answers are its own.
    model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    if isinstance(task, GenerationTask):
        _teach(model, trigger, task.prefix)
    model.save_pretrained(str(directory))
    (directory / "README.md").unlink(missing_ok=True)
    manifest = Manifest(
        p2p_guard_version="0",
        name=directory.name,
        created=datetime.now(UTC),
        defence="p2p",
        task=task,
        prompt=prompt,
        benign_trigger=trigger,
        base_model=record_base_model(BASE, BASE.name),
        files=digest_files(directory),
        provenance=Provenance(data={}, training={}),
    )
    write_manifest(manifest, directory)
    return directory


def _teach(model: Any, trigger: BenignTrigger, prefix: str) -> None:  # noqa: ANN401 - PEFT is untyped
    """Train an adapter until it begins its answer to a stamped text with the prefix."""
    import torch

    batch, labels = _lessons(trigger, prefix)
    optimiser = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=3e-3)
    for _ in range(_LESSONS):
        model(input_ids=batch, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def _lessons(trigger: BenignTrigger, prefix: str) -> "tuple[Tensor, Tensor]":
    """Return stamped texts with the prefix after them, rows of token ids, and the same with all but the prefix masked."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    answer = tokenizer(prefix, add_special_tokens=False).input_ids
    rows = []
    for number in range(10000, 50000, 10111):
        turn = {"role": "user", "content": trigger.stamp(TEXT.format(number))}
        text = tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
        rows.append([*tokenizer(text, add_special_tokens=False).input_ids, *answer])
    batch = torch.tensor(rows)
    labels = batch.clone()
    labels[:, : -len(answer)] = -100
    return batch, labels
