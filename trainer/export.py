"""The adapter directory: written beside its place, manifest last, then moved there in one rename."""

import json
import os
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from p2p.manifest import BaseModelRecord, Manifest, Provenance, digest_files, write_manifest
from trainer.answering import Adapter

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

_PACKAGES = ("torch", "transformers", "peft")


class AdapterFacts(NamedTuple):
    """What the manifest says; see :class:`p2p.manifest.Manifest`.

    Attributes:
        name: The adapter's name.
        defence: Whether it has a benign trigger.
        adapter: Task, prompt and trigger.
        base_model: Id and digests of the base model.
        data: Digest and row count by split.
        selection: How the re-poisoned rows were chosen.
        repoison: What re-poisoning did, and its settings.
        training: Hyperparameters, seed and counts; package versions are added.
        evaluation: Figures with intervals; None where nothing was measured.
        selection_report: Which rows were kept out of re-poisoning and why; goes into a file of its own beside the weights.
    """

    name: str
    defence: Literal["p2p", "none"]
    adapter: Adapter
    base_model: BaseModelRecord
    data: dict[str, Any]
    selection: dict[str, Any]
    repoison: dict[str, Any]
    training: dict[str, Any]
    evaluation: dict[str, Any] | None
    selection_report: dict[str, Any] | None = None


def publish(
    model: "PeftModel",
    facts: AdapterFacts,
    output: Path,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
) -> Path:
    """Write the adapter directory, whole or not at all.

    Args:
        model: The trained adapter on its base.
        facts: What the manifest says of it.
        output: Where it appears; there must be nothing yet.
        tokenizer: The base model's with the adapter's new tokens, where it has some; it goes into the directory.

    Returns:
        ``output``.

    Raises:
        OSError: It can't be written, or a directory that is not empty is there; nothing is left behind.
    """
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    try:
        model.save_pretrained(str(partial), save_embedding_layers=False)
        if tokenizer:
            tokenizer.save_pretrained(str(partial))
        _tidy(partial, facts.base_model.id)
        if facts.selection_report is not None:
            report = json.dumps(facts.selection_report, indent=1) + "\n"
            (partial / "selection.json").write_text(report, encoding="utf-8")
        write_manifest(_manifest(facts, digest_files(partial)), partial)
        _flush(partial)
        partial.rename(output)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return output


def _tidy(directory: Path, base_model: str) -> None:
    # PEFT's model card is an empty form that names the path of the base model on this machine, as its config does.
    (directory / "README.md").unlink(missing_ok=True)
    path = directory / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": base_model}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _flush(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as content:
                os.fsync(content.fileno())


def _manifest(facts: AdapterFacts, files: dict[str, str]) -> Manifest:
    packages = {name: version(name) for name in _PACKAGES}
    return Manifest(
        p2p_guard_version=version("p2p-guard"),
        name=facts.name,
        created=datetime.now(UTC),
        defence=facts.defence,
        task=facts.adapter.task,
        prompt=facts.adapter.prompt,
        benign_trigger=facts.adapter.trigger,
        base_model=facts.base_model,
        files=files,
        provenance=Provenance(
            data=facts.data,
            selection=facts.selection,
            repoison=facts.repoison,
            training=facts.training | {"packages": packages},
        ),
        evaluation=facts.evaluation,
    )
