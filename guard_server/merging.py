"""Merged copies: base model and adapter in one, under the adapter's content name, made once and verified on each use.

Run-time LoRA is slow on vLLM's CPU back end, so there an adapter is served merged.
"""

import json
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from guard_server.adapter import LoadedAdapter
from guard_server.errors import GuardConfigError
from p2p.manifest import digest_files, read_manifest
from p2p.tasks import ClassificationTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SEAL = "p2p_merged.json"
_LAST_LINES = 15


def merged_copy(adapter: LoadedAdapter, base_model: Path, cache: Path) -> Path:
    """Return a directory that holds the base model with the adapter merged in.

    Args:
        adapter: A verified adapter.
        base_model: Its base model.
        cache: Where copies are kept; private to this user.

    Raises:
        GuardConfigError: A copy in the cache is not the one that was made, or none can be made.
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
    """Merge in a process of its own: torch and the weights would stay in the guard's memory, some 500 MiB, for as long as it runs."""
    paths = [str(path.absolute()) for path in (base_model, adapter.verified.path, target)]
    command = [sys.executable, "-m", "guard_server.merging", *paths]
    done = subprocess.run(  # noqa: S603 - this very program
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        said = done.stdout.decode(errors="replace").splitlines()[-_LAST_LINES:]
        raise GuardConfigError(
            f"the adapter {adapter.name!r} can't be merged into its base model. The last lines of it:\n"
            + "\n".join(said)
        )


def main() -> None:
    """Merge an adapter into its base model: the command line is base model, adapter and target directory."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base_model, directory, target = map(Path, sys.argv[1:])
    task = read_manifest(directory).task
    has_new_tokens = isinstance(task, ClassificationTask) and task.new_tokens
    base = AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.float32)
    if isinstance(task, ClassificationTask) and task.new_tokens:
        _make_room(base, task.vocabulary_needed)
    PeftModel.from_pretrained(base, directory).merge_and_unload().save_pretrained(target)
    AutoTokenizer.from_pretrained(directory if has_new_tokens else base_model).save_pretrained(target)


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


if __name__ == "__main__":
    main()
