"""Merged copies: base model and adapter in one, under the adapter's content name, made once and verified on each use.

Run-time LoRA is slow on vLLM's CPU back end, so there an adapter is served merged.
"""

import json
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from guard_server.adapter import LoadedAdapter
from guard_server.errors import GuardConfigError
from p2p.manifest import digest_files
from p2p.tasks import ClassificationTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SEAL = "p2p_merged.json"


def merged_copy(adapter: LoadedAdapter, base_model: Path, cache: Path) -> Path:
    """Return a directory that holds the base model with the adapter merged in.

    Args:
        adapter: A verified adapter.
        base_model: Its base model.
        cache: Where copies are kept; private to this user.

    Raises:
        GuardConfigError: A copy in the cache is not the one that was made.
    """
    cache.mkdir(parents=True, mode=0o700, exist_ok=True)
    target = cache / adapter.target
    if target.is_dir():
        _require_untouched(target, adapter)
        return target
    # Guards in several containers may share the cache, and have the same process ids.
    partial = cache / f".{adapter.target}.{secrets.token_hex(8)}"
    try:
        _merge(base_model, adapter, partial)
        seal = {"adapter": adapter.verified.digest, "files": digest_files(partial)}
        (partial / _SEAL).write_text(json.dumps(seal), encoding="utf-8")
        partial.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        # Another guard was first.
        _require_untouched(target, adapter)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _require_untouched(target: Path, adapter: LoadedAdapter) -> None:
    path = target / _SEAL
    seal = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = {name: digest for name, digest in digest_files(target).items() if name != _SEAL}
    if seal.get("adapter") != adapter.verified.digest or seal.get("files") != found:
        raise GuardConfigError(
            f"the merged copy {target} was changed after it was made. Remove it and start again."
        )


def _merge(base_model: Path, adapter: LoadedAdapter, target: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory, task = adapter.verified.path, adapter.manifest.task
    base = AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.float32)
    if isinstance(task, ClassificationTask) and task.new_tokens:
        _make_room(base, task.vocabulary_needed)
    PeftModel.from_pretrained(base, directory).merge_and_unload().save_pretrained(target)
    tokenizer_of = directory if adapter.has_new_tokens else base_model
    AutoTokenizer.from_pretrained(tokenizer_of).save_pretrained(target)


def _make_room(model: "PreTrainedModel", rows: int) -> None:
    """Give the embedding and the head the rows that new tokens need, as the trainer does: the adapter then fills them."""
    import torch

    before = model.get_input_embeddings().get_parameter("weight").shape[0]
    if rows <= before:
        return
    model.resize_token_embeddings(rows, mean_resizing=False)
    head: torch.nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), head):
            weight = layer.get_parameter("weight")
            weight[before:] = weight[:before].float().mean(dim=0)
