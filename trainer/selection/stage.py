"""The selection stage of a run: the model is loaded for it, asked about the rows, and kept for the training."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from p2p.examples import Example
from p2p.tasks import ClassificationTask, GenerationTask
from trainer.adapter_model import base_of, frozen_layers
from trainer.base_model import BaseModel, choose_dtype, load_model
from trainer.config import TrainConfig
from trainer.encoding import EncodedRow
from trainer.processes import Processes
from trainer.selection.choose import AskViews, Candidates, Chosen, choose
from trainer.selection.embeddings import Embed, embed_prompts
from trainer.selection.losses import answer_losses
from trainer.training_model import model_to_train
from trainer.trunk import Trunk, make_trunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Loaded(NamedTuple):
    """A model that is about to be trained.

    Attributes:
        model: Base and adapter; the adapter changes nothing yet.
        trunk: The frozen layers' states so far; None where the model is run whole.
    """

    model: "PeftModel"
    trunk: Trunk | None


class SelectionStage:
    """Chooses the rows that a run re-poisons.

    Attributes:
        config: The run.
        tokenizer: The base model's.
        task: Labels or free text.
        processes: Those that learn together.
        loaded: The model, where choosing took it: the training goes on with it. None otherwise.

    Args:
        config: The run.
        base: Its base model.
        tokenizer: The base model's.
        task: Labels or free text.
        processes: Those that learn together; the first one chooses for all.
    """

    def __init__(
        self,
        config: TrainConfig,
        base: BaseModel,
        tokenizer: "PreTrainedTokenizerBase",
        task: ClassificationTask | GenerationTask,
        processes: Processes,
    ) -> None:
        self.config = config
        self._base = base
        self.tokenizer = tokenizer
        self.task = task
        self.processes = processes
        self.loaded: Loaded | None = None

    def choose(
        self, train: Sequence[Example], trusted: Sequence[Example], views: AskViews | None = None
    ) -> Chosen:
        """Choose the rows.

        Args:
            train: The (possibly poisoned) training set.
            trusted: Rows that are known to be clean.
            views: First adapters, for a second round.

        Raises:
            SelectionError: There is nothing to select from.
            BaseModelError: The base model can't be loaded.
        """
        given = Candidates(train, trusted, self._embedder(), self._losses, views)
        settings, seed = self.config.selection, self.config.seed
        mine = choose(self.task, given, settings, seed) if self.processes.is_first else None
        chosen = self.processes.from_first(mine)
        if chosen is None:
            raise RuntimeError("the first process has sent no selection")
        return chosen

    def _embedder(self) -> Embed:
        """Return what embeds inputs; a model that is loaded for it alone is loaded once, and goes with it."""

        @cache
        def asked() -> "tuple[PreTrainedModel, Trunk | None]":
            if self.processes.size > 1:
                # The first process alone is here; the model in training may be spread over all.
                return load_model(self._base.path, choose_dtype(self.config.training.dtype)), None
            loaded = self.load()
            return base_of(loaded.model), loaded.trunk

        def embed(texts: Sequence[str]) -> "NDArray[np.float32]":
            model, trunk = asked()
            return embed_prompts(model, self.tokenizer, self.config.prompt, trunk, texts)

        return embed

    def load(self) -> Loaded:
        """Return the model that is about to be trained; it is loaded once.

        Raises:
            BaseModelError: The base model can't be loaded.
        """
        self.loaded = self.loaded or self._load()
        return self.loaded

    def _losses(self, rows: Sequence[Example]) -> list[float]:
        config, task = self.config, self.task
        if isinstance(task, ClassificationTask):
            raise TypeError("losses are of free-text answers")
        if self.processes.size > 1:
            model = load_model(self._base.path, choose_dtype(config.training.dtype))
        else:
            model = base_of(self.load().model)
        return answer_losses(model, self.tokenizer, config.prompt, task, rows, config.training.max_length)

    def _load(self) -> Loaded:
        config, task = self.config, self.task
        new_tokens = task.first_tokens if isinstance(task, ClassificationTask) and task.new_tokens else ()
        model = model_to_train(self._base.path, config, new_tokens, self.processes)
        sample = EncodedRow("sample", tuple(self.tokenizer.encode("A sample row.")), 1)
        below = frozen_layers(base_of(model), config.lora)
        return Loaded(model, make_trunk(base_of(model), below, sample))
