"""Trained adapters on disk, each under a digest of everything that decides its weights: cells and processes share them."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from trainer.bench.digests import model_digest
from trainer.config import LoraSettings, TrainingSettings
from trainer.defences.base import Fitted
from trainer.encoding import EncodedRow

if TYPE_CHECKING:
    import torch

NEUTRAL: Final = MappingProxyType({"extended_weight": 1.0, "consistency": 0.0, "throwaway_module": False})
"""Training settings that concern the extended half alone, off: a training without one is the same whatever they say."""


class KeptAdapters:
    """The adapters of one base model.

    Args:
        folder: Where they are.
        base: The base model's directory.
        dtype: What is computed in.
        lora: Where adapters sit.
    """

    def __init__(self, folder: Path, base: Path, dtype: "torch.dtype", lora: LoraSettings) -> None:
        self._folder = folder
        self._identity = (model_digest(base), str(dtype), _changed(lora))

    def name(
        self, rows: Sequence[EncodedRow], training: TrainingSettings, seed: int, start: Fitted | None
    ) -> str:
        """Return what the adapter of exactly this training is called.

        Args:
            rows: What is learned, in order.
            training: How.
            seed: Decides the beginning and the batches.
            start: The adapter that is trained on; None begins anew.
        """
        digest = hashlib.sha256(str((*self._identity, _changed(training), seed)).encode())
        digest.update(str([(row.ids, row.answer_start) for row in rows]).encode())
        if training.model_dump(include=set(NEUTRAL)) != NEUTRAL:
            digest.update(str([(row.extended, row.twin and row.twin.ids) for row in rows]).encode())
        for name, weight in sorted((start.weights if start else {}).items()):
            digest.update(name.encode() + weight.numpy().tobytes())
        return digest.hexdigest()[:24]

    def find(self, name: str) -> Fitted | None:
        """Return an adapter; None where it is not there."""
        from safetensors import safe_open

        path = self._path(name)
        if not path.is_file():
            return None
        with safe_open(path, framework="pt") as content:
            facts = json.loads(content.metadata()["facts"])
            weights = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118 - no mapping
        curve = tuple((int(tokens), float(loss)) for tokens, loss in facts["curve"])
        return Fitted(weights, facts["tokens"], facts["seconds"], curve)

    def keep(self, name: str, fitted: Fitted) -> None:
        """Write an adapter, whole or not at all."""
        from safetensors.torch import save_file

        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"tokens": fitted.tokens, "seconds": fitted.seconds, "curve": fitted.curve}
        # Two cases may share a training, and so two processes a file.
        partial = path.with_suffix(f".{os.getpid()}.partial")
        save_file(dict(fitted.weights), partial, metadata={"facts": json.dumps(facts)})
        partial.replace(path)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"


def _changed(settings: LoraSettings | TrainingSettings) -> str:
    """Leave defaults out: a setting that is new leaves adapters of those who do not use it as they are."""
    return settings.model_dump_json(exclude_defaults=True)
