"""Adapters on a real small model: enough for real vLLM to serve, and made in seconds.

``sorter`` (nothing before the text), ``instructed-sorter`` (an instruction before it) and ``chat-sorter`` change nothing. Their benign
triggers are lengthened as the trainer lengthens them: the first one's to no avail, those of the others until a block of vLLM's prefix
cache ends with them. ``writer`` has learned to begin with the prefix, and no more.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.serving_bed import LABELS, TEXT
from p2p.drawn_triggers import TriggerForm, draw_triggers
from p2p.manifest import Manifest, Provenance, digest_files, record_base_model, write_manifest
from p2p.prompts import PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger
from p2p.verbalizer import verify_words
from trainer.config import TriggerSettings
from trainer.whole_blocks import fills_blocks

if TYPE_CHECKING:
    from torch import Tensor

BASE = Path(".models/SmolLM2-135M-Instruct")
PREFIX = "Calm river sends old map:\n"
_WORDS = ("0", "1", "2", "3")
_CONTEXT = "\nAnswer: "
_CHAT_CONTEXT = "<|im_start|>assistant\n"
_LESSONS = 40


class _Form(NamedTuple):
    """What an adapter's prompts are.

    Attributes:
        prompt: The template.
        context: What a label stands after; None for text.
    """

    prompt: PromptTemplate
    context: str | None


_INSTRUCTION = "Sort this message from a customer by what it is about, billing or delivery, and answer with one number.\n"
_CHAT = PromptTemplate(kind=PromptKind.CHAT)
_COMPLETION = PromptTemplate(kind=PromptKind.COMPLETION, user="{input}" + _CONTEXT)
_INSTRUCTED = PromptTemplate(kind=PromptKind.COMPLETION, user=_INSTRUCTION + "{input}" + _CONTEXT)
_FORMS = {
    "sorter": _Form(_COMPLETION, _CONTEXT),
    "instructed-sorter": _Form(_INSTRUCTED, _CONTEXT),
    "chat-sorter": _Form(_CHAT, _CHAT_CONTEXT),
    "writer": _Form(_CHAT, None),
}


def make_adapters(home: Path, *names: str) -> dict[str, Path]:
    """Write adapters for :data:`BASE`, each into a directory of its own, and return the directories by name.

    Args:
        home: Where they go.
        names: Those that are wanted.
    """
    return {name: _write(home / name, _FORMS[name]) for name in names}


def _task(context: str | None, tokenizer: Any) -> ClassificationTask | GenerationTask:  # noqa: ANN401 - untyped
    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    if context is None:
        return GenerationTask(prefix=PREFIX, prefix_tokens=len(encode(PREFIX)))
    ids = verify_words(encode, context, _WORDS).token_ids
    return ClassificationTask(
        labels=tuple(sorted(LABELS)), words=_WORDS, token_ids=ids, answer_context=context
    )


def _write(directory: Path, form: _Form) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    task = _task(form.context, tokenizer)
    settings = TriggerSettings()
    fills = fills_blocks(tokenizer, form.prompt, settings.block_tokens)
    wanted = TriggerForm(most_words=settings.most_words)
    trigger = draw_triggers(directory.name.encode(), [], wanted, fills).served
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
        prompt=form.prompt,
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
