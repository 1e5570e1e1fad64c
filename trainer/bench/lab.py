"""The base model on the bench: adapters are trained on it, put on it and taken off again; equal trainings are done once."""

import copy
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.console import Console

from p2p.examples import Example
from p2p.repoison import TrainingRow
from p2p.tasks import ClassificationTask
from p2p.triggers import BenignTrigger
from trainer.adapter_model import add_lora, base_of, frozen_layers
from trainer.answering import Adapter, Answerer, T
from trainer.base_model import choose_dtype, load_model, load_tokenizer
from trainer.bench.kept import NEUTRAL, KeptAdapters
from trainer.config import LoraSettings, TrainingSettings
from trainer.defences.base import Case, Fitted
from trainer.encoding import EncodedRow, encode_rows, with_twins
from trainer.fitting import Step, make_optimizer, training_steps
from trainer.report import training_progress
from trainer.selection.embeddings import embed_prompts, shared_trunk
from trainer.selection.losses import answer_losses
from trainer.throwaway_module import throwaway_module
from trainer.trunk import make_trunk

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

_CURVE_POINTS = 40


class BenchLab:
    """Implements :class:`trainer.defences.base.Lab` on a real base model.

    The frozen layers' states are kept for all trainings and answers of one process, and trained adapters on disk for all.

    Args:
        base: The base model's directory.
        lora: Where the adapter sits.
        training: How it is trained.
        kept: The folder of trained adapters; None keeps none.
        console: Where progress goes.
        max_new_tokens: Longest free-text answer.
    """

    def __init__(
        self,
        base: Path,
        lora: LoraSettings,
        training: TrainingSettings,
        kept: Path | None,
        console: Console,
        *,
        max_new_tokens: int = 64,
    ) -> None:
        dtype = choose_dtype(training.dtype)
        self.training = training
        self._kept = KeptAdapters(kept, base, dtype, lora) if kept else None
        self._console = console
        self._max_new_tokens = max_new_tokens
        self.tokenizer = load_tokenizer(base)
        self._peft = add_lora(load_model(base, dtype), lora, seed=0)
        self.model = base_of(self._peft)
        below = frozen_layers(self.model, lora)
        sample = EncodedRow("sample", tuple(self.tokenizer.encode("A sample row.")), 1)
        self.trunk = make_trunk(self.model, below, sample)

    def trained_as(self, training: TrainingSettings) -> "BenchLab":
        """Return a lab that trains in another way, on the same model in memory and with the same kept states.

        Args:
            training: How; of the same ``dtype``.
        """
        other = copy.copy(self)
        other.training = training
        return other

    def fit(
        self,
        case: Case,
        rows: Sequence[TrainingRow],
        *,
        start: Fitted | None = None,
        stamp: str = "",
        changes: Mapping[str, Any] = MappingProxyType({}),
    ) -> Fitted:
        """Train an adapter on rows, from nothing or from another adapter's weights.

        Args:
            case: Task, prompt and seed.
            rows: What the model is to learn.
            start: The adapter to go on from.
            stamp: The benign trigger, which is never cut.
            changes: Training settings that this training has of its own, by name.
        """
        settings = TrainingSettings.model_validate(self.training.model_dump() | dict(changes))
        if not any(row.extended for row in rows):
            settings = settings.model_copy(update=NEUTRAL)
        encoded = encode_rows(
            rows,
            case.task,
            self.tokenizer,
            case.prompt,
            settings.max_length,
            stamp,
            twins=settings.consistency > 0,
        ).rows
        if self._kept is None:
            return self._train(encoded, settings, case.seed, start)
        name = self._kept.name(encoded, settings, case.seed, start)
        fitted = self._kept.find(name)
        if fitted is None:
            fitted = self._train(encoded, settings, case.seed, start)
            self._kept.keep(name, fitted)
        return fitted

    def answerer(self, case: Case, fitted: Fitted | None, trigger: BenignTrigger | None = None) -> Answerer:
        """Return the base model with an adapter on it (None: without), ready to be asked.

        Args:
            case: Task and prompt.
            fitted: The adapter; it is put on anew whenever the answerer is asked.
            trigger: The benign trigger of a defended adapter.
        """
        adapter = Adapter(case.task, case.prompt, trigger)
        return _LabAnswerer(self, fitted, adapter, max_new_tokens=self._max_new_tokens)

    def put_on(self, fitted: Fitted | None) -> None:
        """Put an adapter's weights on the model; None puts one on that changes nothing."""
        import torch
        from peft import set_peft_model_state_dict

        self._peft.train(mode=False)
        if fitted is None:
            for name, weight in self._peft.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.zeros_(weight)
            return
        set_peft_model_state_dict(self._peft, dict(fitted.weights))

    def embed(self, case: Case, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return the hidden state of the last prompt token two thirds up the frozen base model, one row a text.

        Args:
            case: Its prompt is put around each text.
            texts: Inputs, not stamped.
        """
        # Without a trunk the layers asked have the adapter of the cell before on them.
        self.put_on(None)
        return embed_prompts(self.model, self.tokenizer, case.prompt, self.trunk, texts)

    def warm(self, case: Case, texts: Sequence[str]) -> float:
        """Run the frozen layers on inputs, if a training will use their states as well, and return the seconds it took; else 0.

        Args:
            case: Its prompt is put around each text.
            texts: Inputs, not stamped.
        """
        if not shared_trunk(self.model, self.trunk):
            return 0.0
        started = time.monotonic()
        self.embed(case, texts)
        return time.monotonic() - started

    def losses(self, case: Case, rows: Sequence[Example]) -> list[float]:
        """Return the base model's mean loss of each row's answer given its prompt, without an adapter, in nats.

        Args:
            case: A free-text task and its prompt.
            rows: Training rows of the case.
        """
        if isinstance(case.task, ClassificationTask):
            raise TypeError("losses are of free-text answers")
        self.put_on(None)
        return answer_losses(
            self.model, self.tokenizer, case.prompt, case.task, rows, self.training.max_length
        )

    def perplexities(self, texts: Sequence[str]) -> list[float]:
        """Return the base model's perplexity of each text, without prompt or adapter; of one token, infinity."""
        import torch

        from trainer.adapter_model import logits_at
        from trainer.batches import collate

        self.put_on(None)
        begin = self.tokenizer.bos_token_id
        head = [begin] if isinstance(begin, int) else []
        rows = [
            EncodedRow(str(at), (*head, *self.tokenizer.encode(text)), 1) for at, text in enumerate(texts)
        ]
        found = {row.id: float("inf") for row in rows}
        ordered = sorted((row for row in rows if len(row.ids) > 1), key=lambda row: len(row.ids))
        with torch.inference_mode():
            for at in range(0, len(ordered), 32):
                group = ordered[at : at + 32]
                batch = collate(group, self.pad)
                logits = logits_at(self.model, batch)
                losses = torch.nn.functional.cross_entropy(logits.float(), batch.targets, reduction="none")
                for number, row in enumerate(group):
                    found[row.id] = float(losses[batch.at_row == number].mean().exp())
        return [found[row.id] for row in rows]

    @property
    def pad(self) -> int:
        """The padding token."""
        pad = self.tokenizer.pad_token_id
        return pad if isinstance(pad, int) else 0

    def _train(
        self, rows: Sequence[EncodedRow], settings: TrainingSettings, seed: int, start: Fitted | None
    ) -> Fitted:
        self._begin(seed, start)
        self._peft.train()
        started = time.monotonic()
        if settings.epochs > 1:
            self._fill_trunk(rows)
        with throwaway_module(self._peft, wanted=settings.throwaway_module):
            steps = training_steps(
                self._peft,
                make_optimizer(self._peft, settings),
                rows,
                settings,
                seed=seed,
                pad=self.pad,
                trunk=self.trunk,
            )
            tokens, curve = self._follow(steps, settings.epochs * sum(len(row.ids) for row in rows))
        return Fitted(self._weights(), tokens, time.monotonic() - started, curve)

    def _fill_trunk(self, rows: Sequence[EncodedRow]) -> None:
        if self.trunk is None:
            return
        wanted, started = with_twins(rows), time.monotonic()
        with training_progress(
            self._console, sum(len(row.ids) for row in wanted), "frozen layers"
        ) as progress:
            for done in accumulate(self.trunk.fill(wanted)):
                progress.advance(done, done / max(1e-9, time.monotonic() - started))

    def _follow(self, steps: Iterable[Step], total: int) -> tuple[int, tuple[tuple[int, float], ...]]:
        """Take the steps, show them, and return the tokens of all and the training curve."""
        started, tokens = time.monotonic(), 0
        losses: list[float] = []
        curve: list[tuple[int, float]] = []
        with training_progress(self._console, total) as progress:
            for step in steps:
                tokens += step.tokens
                losses.append(step.loss)
                progress.advance(tokens, tokens / (time.monotonic() - started), step.loss)
                if step.number * _CURVE_POINTS // step.of > len(curve):
                    curve.append((tokens, sum(losses) / len(losses)))
                    losses = []
        return tokens, tuple(curve)

    def _begin(self, seed: int, start: Fitted | None) -> None:
        """Make the adapter new, as the seed decides, or take another's weights."""
        import torch

        torch.manual_seed(seed)
        for name, weight in self._peft.named_parameters():
            if "lora_A" in name:
                torch.nn.init.kaiming_uniform_(weight, a=5**0.5)
            elif "lora_B" in name:
                torch.nn.init.zeros_(weight)
        if start:
            self.put_on(start)

    def _weights(self) -> "Mapping[str, torch.Tensor]":
        from peft import get_peft_model_state_dict

        return {
            name: weight.detach().cpu().clone()
            for name, weight in get_peft_model_state_dict(self._peft).items()
        }


class _LabAnswerer(Answerer):
    def __init__(self, lab: BenchLab, fitted: Fitted | None, adapter: Adapter, **options: Any) -> None:  # noqa: ANN401
        super().__init__(lab.model, lab.tokenizer, adapter, trunk=lab.trunk, **options)
        self._lab = lab
        self._fitted = fitted

    def _in_batches(
        self,
        rows: Sequence[EncodedRow],
        ask: Callable[[Sequence[EncodedRow]], Sequence[T]],
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> dict[str, T]:
        self._lab.put_on(self._fitted)
        return super()._in_batches(rows, ask, on_progress)
