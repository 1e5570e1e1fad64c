"""The adapters of the second round of screening: trained like the final one, asked about rows both ways, thrown away.

Their state lies in the run's folder as the final training's does, and what they said stays there until the adapter is published: a
run that is taken up goes on with the one that was in training, and asks none twice.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rich.console import Console

from p2p.drawn_triggers import DrawnTriggers
from p2p.examples import Example
from p2p.repoison import repoison
from p2p.selection import Selection
from p2p.tasks import ClassificationTask, GenerationTask
from trainer.adapter_model import base_of
from trainer.answering import GUARDED, UNGUARDED, Adapter, Answerer
from trainer.checkpoints import RunFolder, put_adapter
from trainer.config import TrainConfig, TrainingSettings
from trainer.encoding import EncodedSet
from trainer.errors import CheckpointError
from trainer.fitting import make_optimizer
from trainer.processes import Processes
from trainer.resumable import stop_signal, train_with_checkpoints
from trainer.selection.second_round import PARTS, Views
from trainer.selection.stage import Loaded
from trainer.trunk import Trunk

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class FirstRun(NamedTuple):
    """What first adapters are made with: all of it is the run's own.

    Attributes:
        config: The run.
        task: Labels.
        tokenizer: The base model's.
        triggers: The benign triggers.
        encode: Training rows to token ids.
        folder: Where states and what was said go.
        console: Where progress goes.
        load: Gives the model; the final training goes on with it as it was.
    """

    config: TrainConfig
    task: ClassificationTask | GenerationTask
    tokenizer: "PreTrainedTokenizerBase"
    triggers: DrawnTriggers
    encode: Callable[..., EncodedSet]
    folder: RunFolder
    console: Console
    load: Callable[[], Loaded]


class FirstAdapters:
    """Trains the adapters of a run's second round, one at a time, and asks them.

    Attributes:
        cost: What those that were asked so far took: ``tokens`` and ``seconds`` of training, earlier runs' included, and the seconds
            of asking.

    Args:
        run: What they are made with.
        train: The training set.
    """

    def __init__(self, run: FirstRun, train: Sequence[Example]) -> None:
        self._run = run
        self._train = train
        self.cost: dict[str, float] = {"tokens": 0, "seconds": 0.0}

    def __call__(self, number: int, selection: Selection, asked: Sequence[Example]) -> Views:
        """Train an adapter on the training set and the copies of a selection, and ask it.

        Args:
            number: Which adapter this is; it is made once in a run.
            selection: The rows that are copied, and those that are left out.
            asked: The rows that it is asked about.

        Raises:
            InterruptedRunError: The run was stopped; the state is saved.
            CheckpointError: What an earlier run has left can't be used.
        """
        said = self._run.folder.path / f"views-{number}.json"
        if not said.exists():
            self._run.console.print(f"second round of screening: adapter {number + 1} of {PARTS}")
            folder = self._run.folder.stage(f"first-{number}")
            _write(said, self._train_and_ask(folder, selection, asked))
            folder.forget()
        # Read back even when it was written a moment ago: a run that is taken up sees the same.
        found = _read(said, asked)
        self._run.console.print(
            f"  asked about {len(asked):,} rows in both views; with its training {found.seconds:.0f} s"
        )
        self.cost = {
            "tokens": self.cost["tokens"] + found.tokens,
            "seconds": self.cost["seconds"] + found.seconds,
        }
        return found.views

    def _train_and_ask(self, folder: RunFolder, selection: Selection, asked: Sequence[Example]) -> "_Said":
        import torch
        from peft import get_peft_model_state_dict

        loaded = self._run.load()
        model = loaded.model
        kept = get_peft_model_state_dict(model, save_embedding_layers=False)
        fresh = {name: weight.detach().cpu().clone() for name, weight in kept.items()}
        try:
            with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
                return self._said(loaded, folder, selection, asked)
        finally:
            # The final training begins as if nothing had been here.
            put_adapter(model, fresh)
            model.train()

    def _said(
        self, loaded: Loaded, folder: RunFolder, selection: Selection, asked: Sequence[Example]
    ) -> "_Said":
        state = self._fit(loaded, folder, selection)
        loaded.model.train(mode=False)
        started = time.monotonic()
        views = self._ask(loaded, asked)
        seconds = state["seconds"] + time.monotonic() - started
        return _Said([row.id for row in asked], views, state["tokens"], seconds)

    def _fit(self, loaded: Loaded, folder: RunFolder, selection: Selection) -> dict[str, Any]:
        run, settings = self._run, first_training(self._run.config)
        config = run.config
        done = repoison(
            self._train,
            selection,
            run.task,
            run.triggers.served,
            config.repoison,
            config.seed,
            run.triggers.others,
        )
        rows = run.encode(done.rows).rows
        optimizer = make_optimizer(loaded.model, settings)
        with stop_signal() as stop:
            return train_with_checkpoints(
                loaded.model,
                optimizer,
                rows,
                settings,
                folder=folder,
                state=folder.restore(loaded.model, optimizer),
                stop=stop,
                console=run.console,
                seed=config.seed,
                pad=_pad(run.tokenizer),
                trunk=_trunk(loaded, settings),
                processes=Processes(),
            )

    def _ask(self, loaded: Loaded, asked: Sequence[Example]) -> Views:
        run = self._run
        adapter = Adapter(run.task, run.config.prompt, run.triggers.served)
        answerer = Answerer(base_of(loaded.model), run.tokenizer, adapter, trunk=loaded.trunk)
        return both_views(answerer, asked)


def both_views(answerer: Answerer, asked: Sequence[Example]) -> Views:
    """Ask an adapter about rows with and without its benign trigger.

    Args:
        answerer: The adapter.
        asked: The rows.

    Raises:
        ValueError: It knows no label by its first token.
    """
    return Views(*(np.array(answerer.label_probabilities(asked, view)) for view in (GUARDED, UNGUARDED)))


def first_training(config: TrainConfig) -> TrainingSettings:
    """Return how first adapters are trained: as the final one, but for the epochs, and without what concerns copies alone.

    Args:
        config: A run with a second round.
    """
    again = config.selection.second_round
    if again is None:
        raise ValueError("there is no second round")
    return config.training.model_copy(
        update={"epochs": again.epochs, "consistency": 0.0, "extended_weight": 1.0}
    )


def _trunk(loaded: Loaded, settings: TrainingSettings) -> Trunk | None:
    return None if settings.packing else loaded.trunk


def _pad(tokenizer: "PreTrainedTokenizerBase") -> int:
    pad = tokenizer.pad_token_id
    return pad if isinstance(pad, int) else 0


class _Said(NamedTuple):
    """What an adapter said of which rows, and what it took."""

    ids: list[str]
    views: Views
    tokens: int
    seconds: float


def _write(path: Path, said: _Said) -> None:
    views = {name: values.tolist() for name, values in said.views._asdict().items()}
    content = {"ids": said.ids, **views, "tokens": said.tokens, "seconds": round(said.seconds, 1)}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105 - the atomic call, by its name


def _read(path: Path, asked: Sequence[Example]) -> _Said:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        views = Views(np.array(content["guarded"]), np.array(content["plain"]))
        said = _Said(list(content["ids"]), views, int(content["tokens"]), float(content["seconds"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} can't be read ({type(error).__name__}). Begin again with `--restart`."
        ) from error
    if said.ids != [row.id for row in asked]:
        raise CheckpointError(f"{path} is of other rows. Begin again with `--restart`.")
    return said
