"""Training, to be read from top to bottom: data, selection, re-poisoning, LoRA, figures, adapter directory."""

import time
from collections.abc import Sequence, Sized
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from p2p.attacks.base import Attack
from p2p.attacks.registry import make_attack
from p2p.drawn_triggers import DrawnTriggers, LongEnough, draw_triggers
from p2p.manifest import record_base_model
from p2p.normalise import AnswerStyle
from p2p.repoison import original_row, repoison
from p2p.selection import select_trusted
from p2p.tasks import ClassificationTask, GenerationTask
from trainer.adapter_model import base_of, frozen_layers
from trainer.announcements import announce_data, announce_start, announce_triggers, announce_words
from trainer.answering import Adapter, Answerer
from trainer.base_model import BaseModel, find_base_model, load_tokenizer
from trainer.checkpoints import RunFolder
from trainer.config import ClassificationSettings, DataSource, GenerationSettings, TrainConfig
from trainer.datasets import Splits, describe, load_splits
from trainer.encoding import encode_rows, with_twins
from trainer.errors import CheckpointError, ConfigError
from trainer.evaluations import EvaluationReport, evaluate, require_known, require_numbers
from trainer.export import AdapterFacts, publish
from trainer.first_adapters import FirstAdapters, FirstRun
from trainer.fitting import make_optimizer
from trainer.processes import Processes, join_processes
from trainer.report import peak_memory_gib, training_progress
from trainer.resumable import stop_signal, train_with_checkpoints
from trainer.selection.choose import Chosen
from trainer.selection.stage import Loaded, SelectionStage
from trainer.start_adapter import StartAdapter, doubts, read_start_adapter, require_fits
from trainer.streaming.stage import Encode, StreamingStage
from trainer.tasks import draw_key, make_task
from trainer.throwaway_module import has_throwaway, throw_away
from trainer.training_model import is_served_as_trained, model_to_serve, model_to_train, require_hardware
from trainer.training_set import TrainingSet
from trainer.trunk import Trunk, make_trunk
from trainer.whole_blocks import fills_blocks

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase


class TrainResult(NamedTuple):
    """What a run gave.

    Attributes:
        path: The adapter directory.
        evaluation: Its figures; None where there is no test split, and in all processes but the first.
        tokens: How many tokens were trained on, all processes together.
        seconds: How long the training took, without loading and measuring.
        peak_memory_gib: The most memory that the process held.
    """

    path: Path
    evaluation: EvaluationReport | None
    tokens: int
    seconds: float
    peak_memory_gib: float


class _Plan(NamedTuple):
    """All that is settled before the training."""

    config: TrainConfig
    base: BaseModel
    splits: Splits
    adapter: Adapter
    data: TrainingSet
    loaded: Loaded | None
    tokenizer: "PreTrainedTokenizerBase"
    folder: RunFolder
    processes: Processes
    redraws: int
    start: StartAdapter | None


class _Trained(NamedTuple):
    model: "PeftModel"
    tokens: int
    seconds: float
    steps: int


def train(
    config: TrainConfig, console: Console, *, resume: bool = False, restart: bool = False
) -> TrainResult:
    """Train an adapter and publish its directory. Processes that a launcher has started together make one adapter.

    Args:
        config: What to do.
        console: Where progress goes.
        resume: Go on with the unfinished run beside the output.
        restart: Throw that run away and begin again.

    Raises:
        P2PError: The data or the tokenizer can't be used; nothing was trained.
        TrainerError: The config, the base model or the run's state can't be used, or the run was stopped.
    """
    processes = join_processes()
    plan = _prepare(config, console, processes, resume=resume, restart=restart)
    with plan.folder.kept_once_saved():
        trained = _fit(plan, console)
    processes.leave()
    if not processes.is_first:
        return TrainResult(config.output, None, trained.tokens, trained.seconds, peak_memory_gib())
    merged_report = _measure(plan, trained, console)
    path = _publish(plan, trained, merged_report)
    plan.folder.discard()
    return TrainResult(path, merged_report, trained.tokens, trained.seconds, peak_memory_gib())


def _prepare(
    config: TrainConfig, console: Console, processes: Processes, *, resume: bool, restart: bool
) -> _Plan:
    _require_possible(config, processes)
    attacks = [make_attack(attack.name, attack.parameters) for attack in config.evaluation.attacks]
    labels = config.task.labels if isinstance(config.task, ClassificationSettings) else None
    splits = load_splits(config.data, labels, classify=isinstance(config.task, ClassificationSettings))
    base = find_base_model(config.base_model, config.revision)
    tokenizer = load_tokenizer(base.path)
    start = (
        read_start_adapter(config.from_adapter, base, config.lora)
        if config.from_adapter is not None
        else None
    )
    folder = RunFolder(config, processes, start.digest if start else "")
    if restart:
        folder.discard()
    key = folder.open(draw_key(config), resume=resume)
    with folder.kept_once_saved():
        task = make_task(config, tokenizer, [row.answer for row in splits.train], key)
        _require_measurable(task, splits, attacks)
        if start:
            require_fits(start, base, config.lora, _new_tokens(task))
        fills = _fills(config, tokenizer)
        triggers = _draw(config, splits, key, fills) if config.defence == "p2p" else None
        stage = SelectionStage(config, base, tokenizer, task, processes)
        data = _make_data(stage, splits, triggers, folder, console)
    announce_data(console, data, config, len(attacks))
    announce_words(console, task)
    if triggers:
        announce_triggers(console, triggers, config.benign_trigger.block_tokens, fills)
    if start:
        announce_start(console, start, config.from_adapter_share, doubts(start, base, config, task))
    return _Plan(
        config,
        base,
        splits,
        Adapter(task, config.prompt, triggers.served if triggers else None),
        data,
        stage.loaded,
        tokenizer,
        folder,
        processes,
        triggers.redraws if triggers else 0,
        start,
    )


def _require_possible(config: TrainConfig, processes: Processes) -> None:
    require_hardware(config, processes)
    if config.selection.second_round and processes.size > 1:
        raise ConfigError("selection.second_round trains its adapters in one process: launch one")
    if config.output.exists():
        raise CheckpointError(f"{config.output} is there already. Remove it, or choose another `output`.")


def _require_measurable(
    task: ClassificationTask | GenerationTask, splits: Splits, attacks: Sequence[Attack]
) -> None:
    if isinstance(task, ClassificationTask):
        require_known(task.labels, splits.test, attacks)
    elif task.style is AnswerStyle.MATHS:
        require_numbers(splits.test)


def _draw(config: TrainConfig, splits: Splits, key: bytes, fills: LongEnough | None) -> DrawnTriggers:
    return draw_triggers(key, [*splits.train, *splits.trusted], config.benign_trigger.form, fills)


def _fills(config: TrainConfig, tokenizer: "PreTrainedTokenizerBase") -> LongEnough | None:
    wanted = config.benign_trigger
    return fills_blocks(tokenizer, config.prompt, wanted.block_tokens) if wanted.fills_blocks else None


def _make_data(
    stage: SelectionStage, splits: Splits, triggers: DrawnTriggers | None, folder: RunFolder, console: Console
) -> TrainingSet:
    config, task = stage.config, stage.task
    encode = partial(
        encode_rows,
        task=task,
        tokenizer=stage.tokenizer,
        template=config.prompt,
        max_length=config.training.max_length,
        stamp=triggers.longest_text if triggers else "",
        twins=config.training.consistency > 0,
    )
    first = None
    if triggers and config.selection.second_round:
        ready = FirstRun(config, task, stage.tokenizer, triggers, encode, folder, console, stage.load)
        first = FirstAdapters(ready, splits.train)
    # First adapters show their own progress.
    with nullcontext() if first else console.status("choosing the rows to re-poison"):
        if not config.data.stream:
            return _in_memory(splits, stage, triggers, encode, first)
        streaming = StreamingStage(config, splits, task, triggers, folder.path / "data")
        return streaming.make(encode, stage.processes)


def _in_memory(
    splits: Splits,
    stage: SelectionStage,
    triggers: DrawnTriggers | None,
    encode: Encode,
    first: FirstAdapters | None,
) -> TrainingSet:
    config, task = stage.config, stage.task
    chosen = _choose(splits, stage, first) if triggers else None
    done = (
        repoison(
            splits.train,
            chosen.selection,
            task,
            triggers.served,
            config.repoison,
            config.seed,
            triggers.others,
        )
        if triggers and chosen
        else None
    )
    rows = done.rows if done else [original_row(row, task) for row in splits.train]
    return TrainingSet(
        size=len(splits.train),
        encoded=encode(rows),
        repoisoned=done.report if done else None,
        selection=_facts(chosen, first),
        selection_report=chosen.report if chosen else None,
        summary=chosen.summary if chosen else None,
        test=splits.test,
        trained_on=splits.trained_on,
    )


def _facts(chosen: Chosen | None, first: FirstAdapters | None) -> dict[str, Any]:
    """Return how S was chosen, with what the first adapters cost."""
    facts = chosen.facts if chosen else {}
    return facts | {"second_round": facts["second_round"] | first.cost} if first else facts


def _choose(splits: Splits, stage: SelectionStage, first: FirstAdapters | None) -> Chosen:
    if stage.config.data.train:
        return stage.choose(splits.train, splits.trusted, first)
    # All rows are known to be clean: there is nothing to screen, and no link to break.
    return Chosen(select_trusted(splits.trusted)._replace(suspects=()))


def _fit(plan: _Plan, console: Console) -> _Trained:
    """Train, checkpointing, from wherever an earlier run stopped."""
    config, settings, processes = plan.config, plan.config.training, plan.processes
    new_tokens = _new_tokens(plan.adapter.task)
    model = (
        plan.loaded.model if plan.loaded else model_to_train(plan.base.path, config, new_tokens, processes)
    )
    if plan.start:
        plan.start.put_on(model, config.from_adapter_share)
    optimizer = make_optimizer(model, settings)
    state = plan.folder.restore(model, optimizer)
    with stop_signal() as stop:
        state = train_with_checkpoints(
            model,
            optimizer,
            plan.data.encoded.rows,
            settings,
            folder=plan.folder,
            state=state,
            stop=stop,
            console=console,
            seed=config.seed,
            pad=plan.tokenizer.pad_token_id or 0,
            trunk=_compute_frozen_layers(plan, model, console),
            processes=processes,
        )
    if has_throwaway(model):
        throw_away(model)
    if processes.is_first and not is_served_as_trained(config, processes):
        model = model_to_serve(plan.base.path, config, new_tokens)
        plan.folder.adapter_into(model)
    return _Trained(model, state["tokens"], state["seconds"], state["step"])


def _compute_frozen_layers(plan: _Plan, model: "PeftModel", console: Console) -> Trunk | None:
    """Run the layers below the adapter once for all epochs; None where that saves nothing."""
    rows, epochs = plan.data.encoded.rows, plan.config.training.epochs
    if plan.config.training.packing or plan.config.data.stream or plan.processes.sharded:
        return None
    if plan.loaded:
        trunk = plan.loaded.trunk
    else:
        trunk = make_trunk(base_of(model), frozen_layers(base_of(model), plan.config.lora), rows[0])
    if trunk is None or (epochs < 2 and not plan.loaded):
        return None
    wanted = with_twins(rows)
    with training_progress(console, sum(len(row.ids) for row in wanted), "frozen layers") as progress:
        done, started = 0, time.monotonic()
        for tokens in trunk.fill(wanted):
            done += tokens
            progress.advance(done, done / max(1e-9, time.monotonic() - started))
    return trunk


def _new_tokens(task: ClassificationTask | GenerationTask) -> tuple[int, ...]:
    return task.first_tokens if isinstance(task, ClassificationTask) and task.new_tokens else ()


def _measure(plan: _Plan, trained: _Trained, console: Console) -> EvaluationReport | None:
    config = plan.config
    if not plan.data.test:
        return None
    test = plan.data.test[: config.evaluation.rows]
    console.print(f"measuring on {len(test)} test rows")
    attacks = [make_attack(attack.name, attack.parameters) for attack in config.evaluation.attacks]
    new_tokens = config.task.max_new_tokens if isinstance(config.task, GenerationSettings) else 1
    model = base_of(trained.model.eval())
    answerer = Answerer(model, plan.tokenizer, plan.adapter, max_new_tokens=new_tokens)
    return evaluate(answerer, test, attacks, config.seed)


def _publish(plan: _Plan, trained: _Trained, report: EvaluationReport | None) -> Path:
    config = plan.config
    sources: dict[str, tuple[DataSource | None, Sized]] = {
        "train": (config.data.train, range(plan.data.size)),
        "trusted": (config.data.trusted, plan.splits.trusted),
        "test": (config.data.test, plan.data.test),
    }
    report_of_copies = plan.data.repoisoned
    done = report_of_copies.model_dump() | config.repoison.model_dump() if report_of_copies else {}
    facts = AdapterFacts(
        name=config.name,
        defence=config.defence,
        adapter=plan.adapter,
        base_model=record_base_model(plan.base.path, plan.base.id, plan.base.revision),
        data={name: describe(source, rows) for name, (source, rows) in sources.items() if source},
        selection=plan.data.selection,
        repoison=done,
        training={
            **config.training.model_dump(),
            "lora": config.lora.model_dump(mode="json"),
            "seed": config.seed,
            "steps": trained.steps,
            "tokens": trained.tokens,
            "rows_cut": plan.data.encoded.cut,
            "processes": plan.processes.size,
            "trigger_redraws": plan.redraws,
            **({"start_adapter": plan.start.record(config.from_adapter_share)} if plan.start else {}),
        },
        evaluation=report.as_json() if report else None,
        selection_report=plan.data.selection_report,
    )
    tokenizer = plan.tokenizer if _new_tokens(plan.adapter.task) else None
    return publish(trained.model, facts, config.output, tokenizer)
