"""The adapter that a run goes on from: read, checked against base model and settings, and put on the model.

Any LoRA adapter that PEFT has saved will do, one that is backdoored above all: repairing it is what this is for. Its weights are
read as numbers alone (safetensors); a pickle, which could run code, is refused.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from p2p.manifest import MANIFEST_NAME, Manifest, sha256_file, verify_adapter, verify_base_model
from p2p.tasks import ClassificationTask, GenerationTask
from trainer.adapter_model import add_lora
from trainer.base_model import BaseModel
from trainer.checkpoints import put_adapter
from trainer.config import LoraSettings, TrainConfig
from trainer.errors import StartAdapterError
from trainer.mixing import keep_share

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# Settings of PEFT under which the same two matrices mean another update, or other weights learn, too.
_OTHER_MEANINGS = ("use_dora", "use_rslora", "alpha_pattern", "rank_pattern", "modules_to_save", "lora_bias")
_MERGE = "Or merge it into its base model and give that as `base_model`, which takes any adapter"
_SHOWN = 3


class StartAdapter(NamedTuple):
    """An adapter on disk that a run goes on from.

    Attributes:
        path: Its directory.
        digest: SHA-256 over its config and its weights.
        settings: PEFT's config.
        weights: By PEFT's names.
        manifest: Its manifest, where p2p-guard has trained it; None otherwise.
    """

    path: Path
    digest: str
    settings: Mapping[str, Any]
    weights: "Mapping[str, torch.Tensor]"
    manifest: Manifest | None

    def put_on(self, model: "PeftModel", share: float) -> None:
        """Give a model's fresh adapter these weights.

        Args:
            model: Base and adapter, sharded or whole; :func:`require_fits` has been asked.
            share: What is kept of its update; see :func:`trainer.mixing.keep_share`.
        """
        put_adapter(model, keep_share(self.weights, share))

    def record(self, share: float) -> dict[str, str | float]:
        """Return what the manifest of the new adapter says of this one, and how much of it was kept."""
        return {
            "name": self.manifest.name if self.manifest else self.path.resolve().name,
            "sha256": self.digest,
            "share": share,
        }


def read_start_adapter(path: Path, base: BaseModel, lora: LoraSettings) -> StartAdapter:
    """Read an adapter and check what its files say of it.

    Args:
        path: A directory that PEFT has saved. One with a manifest is checked against it, file by file.
        base: The run's base model.
        lora: The run's settings, which have to be the adapter's.

    Raises:
        StartAdapterError: It can't be read, is no plain LoRA, or has another rank or alpha.
        AdapterRefusedError: It has a manifest and isn't what that says, or belongs to another base model.
    """
    settings = _read_settings(path)
    _require_same_settings(path, settings, lora)
    manifest = verify_adapter(path).manifest if (path / MANIFEST_NAME).exists() else None
    if manifest:
        verify_base_model(manifest, base.path)
    weights = _read_weights(path)
    digests = "".join(sha256_file(path / name) for name in (_CONFIG, _WEIGHTS))
    return StartAdapter(path, hashlib.sha256(digests.encode()).hexdigest(), settings, weights, manifest)


def require_fits(start: StartAdapter, base: BaseModel, lora: LoraSettings, new_tokens: Sequence[int]) -> None:
    """Check that an adapter has the very weights that the run's has; the base model's weights are not loaded for it.

    Args:
        start: The adapter.
        base: The run's base model.
        lora: The run's settings.
        new_tokens: Tokens whose embeddings the run trains.

    Raises:
        StartAdapterError: It sits on other modules, or its base model has other sizes.
    """
    wanted = _shapes(base.path, lora, new_tokens)
    found = {name: tuple(weight.shape) for name, weight in start.weights.items()}
    if missing := sorted(wanted.keys() - found.keys()):
        raise _misfit(start, f"has no weights for {_listed(missing)}")
    if extra := sorted(found.keys() - wanted.keys()):
        raise _misfit(start, f"has weights for {_listed(extra)}, where this run has no adapter")
    if other := sorted(name for name in wanted if found[name] != wanted[name]):
        sizes = f"{list(found[other[0]])} instead of {list(wanted[other[0]])}"
        raise StartAdapterError(
            f"adapter {start.path} belongs to another base model than {base.id} (its config names "
            f"{start.settings.get('base_model_name_or_path')!r}): {other[0]} is {sizes}. Give its own as `base_model`."
        )


def doubts(
    start: StartAdapter, base: BaseModel, config: TrainConfig, task: ClassificationTask | GenerationTask
) -> list[str]:
    """Return what may be wrong with an adapter that fits, a line each, for a person to judge; no label words, no secrets.

    Args:
        start: The adapter.
        base: The run's base model.
        config: The run.
        task: Its task.
    """
    manifest, said = start.manifest, []
    if manifest is None:
        named = str(start.settings.get("base_model_name_or_path") or "")
        if Path(named).name != Path(base.id).name:
            said.append(
                f"its base model is called {named!r} there, {base.id!r} here: make sure that they are the same"
            )
        return said
    if manifest.prompt != config.prompt:
        said.append(
            "it was trained with another prompt: set `prompt` as it was, or it has to learn the task again"
        )
    if isinstance(task, ClassificationTask) and not _same_answers(manifest.task, task):
        said.append(
            "it was trained with other labels or label words: set `task` as it was, or it has to learn them again"
        )
    return said


def _same_answers(before: ClassificationTask | GenerationTask, task: ClassificationTask) -> bool:
    if not isinstance(before, ClassificationTask) or before.labels != task.labels:
        return False
    size = len(task.labels)
    return before.words[:size] == task.words[:size]


def _read_settings(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise StartAdapterError(f"there is no adapter directory at {path}. Give the one that PEFT has saved.")
    try:
        settings = json.loads((path / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartAdapterError(
            f"{path / _CONFIG} can't be read ({type(error).__name__}): {path} is no adapter that PEFT has saved, or an "
            "incomplete copy. A merged model needs no `from_adapter`: give it as `base_model`."
        ) from error
    if not isinstance(settings, dict):
        raise StartAdapterError(f"{path / _CONFIG} holds no settings. Copy the directory again.")
    return settings


def _require_same_settings(path: Path, settings: Mapping[str, Any], lora: LoraSettings) -> None:
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise StartAdapterError(f"adapter {path} is of the kind {kind}, and this trains LoRA. {_MERGE}.")
    unusual = [name for name in _OTHER_MEANINGS if settings.get(name)]
    unusual += ["bias"] if settings.get("bias", "none") != "none" else []
    if unusual:
        raise StartAdapterError(f"adapter {path} is no plain LoRA: it sets {', '.join(unusual)}. {_MERGE}.")
    found = {"rank": settings.get("r"), "alpha": settings.get("lora_alpha")}
    wanted = {"rank": lora.rank, "alpha": lora.alpha}
    if found != wanted:
        raise StartAdapterError(
            f"adapter {path} has rank {found['rank']} and alpha {found['alpha']}, this run {lora.rank} and {lora.alpha}. "
            f"Set lora.rank to {found['rank']} and lora.alpha to {found['alpha']}. {_MERGE}."
        )


def _read_weights(path: Path) -> "Mapping[str, torch.Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise StartAdapterError(
            f"{path / _WEIGHTS} can't be read ({type(error).__name__}). Copy the directory again; weights in another format than "
            "safetensors have to be saved anew with PEFT."
        ) from error


def _shapes(base: Path, lora: LoraSettings, new_tokens: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the weights that a run's adapter has, without loading the base model's."""
    import torch
    from peft import get_peft_model_state_dict
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        config = AutoConfig.from_pretrained(base)
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        adapted = add_lora(model, lora, 0, new_tokens)
    held = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    return {name: tuple(weight.shape) for name, weight in held.items()}


def _misfit(start: StartAdapter, what: str) -> StartAdapterError:
    inside = [name.split(".lora_")[0] for name in start.weights if ".lora_" in name]
    modules = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in inside}))
    numbers = {int(part) for name in inside for part in name.split(".") if part.isdecimal()}
    layers = f" of layers {min(numbers)} to {max(numbers)}" if numbers else ""
    return StartAdapterError(
        f"adapter {start.path} {what}. It sits on {modules or 'no module'}{layers}: set lora.target_modules to [{modules}] and "
        f"lora.last_layers to that (and task.new_tokens as it was). {_MERGE}."
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
