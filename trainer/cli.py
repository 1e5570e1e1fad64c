"""The verbs ``attack list``, ``attack apply``, ``train`` and ``evaluate``. They load torch when they need it, so that ``--help`` is quick."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console

from p2p.errors import P2PError
from trainer.errors import InterruptedRunError, TrainerError

if TYPE_CHECKING:
    from trainer.config import DataSource

_USAGE_ERROR = 2
_INTERRUPTED = 130

attack = typer.Typer(
    help="Known attacks: list them, or poison a data set with one to test a defence.", no_args_is_help=True
)


def train(
    config: Annotated[Path, typer.Argument(help="The run's YAML file.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw the unfinished run away and begin again.")
    ] = False,
    from_adapter: Annotated[
        Path | None,
        typer.Option("--from-adapter", help="Repair this adapter, which may be backdoored: go on from it."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value over the file's, such as seed=1.")
    ] = None,
) -> None:
    """Train a defended LoRA adapter and measure it.

    With `selection.second_round`, rows that were screened are screened once more by two first adapters: that takes about as long again as
    the training does.

    Examples:
      p2p-guard train trainer/configs/support_messages.yaml

      p2p-guard train my.yaml --set seed=1 --set output=runs/second

      p2p-guard train my.yaml --resume

      p2p-guard train my.yaml --set selection.method=screened --set selection.second_round.epochs=1

      p2p-guard train my.yaml --from-adapter runs/backdoored

      accelerate launch --config_file trainer/configs/accelerate/gpus.yaml -m p2p_guard_cli train my.yaml
    """
    from trainer.config import load_config

    console = Console()
    with _errors_to_exit_codes(console):
        start = {"from_adapter": str(from_adapter)} if from_adapter else {}
        settings = load_config(config, _overrides(set_ or []) | start)
        with console.status("loading torch and transformers"):
            from trainer.processes import join_processes
            from trainer.recipe import train as run
            from trainer.report import show_evaluation
        processes = join_processes()
        console.quiet = not processes.is_first
        result = run(settings, console, resume=resume, restart=restart)
        if result.evaluation:
            show_evaluation(console, result.evaluation)
        speed = result.tokens / result.seconds if result.seconds else 0
        console.print(
            f"{result.path}: {result.tokens:,} tokens in {result.seconds:.0f} s ({speed:.0f} tokens/s), "
            f"peak memory {result.peak_memory_gib:.2f} GiB"
        )
        processes.end()


@attack.command("list")
def list_attacks() -> None:
    """Show every attack: what it does, to which task and rows, its parameters and its source.

    Example:
      p2p-guard attack list
    """
    from p2p.attacks.registry import ATTACKS
    from trainer.attack_table import attack_table

    Console().print(attack_table(ATTACKS.values()))


@attack.command("apply")
def apply_attack(
    source: Annotated[
        Path, typer.Argument(help="The clean data set: .jsonl, .json, .csv, .tsv or .parquet.")
    ],
    output: Annotated[Path, typer.Argument(help="The poisoned copy, .jsonl.")],
    name: Annotated[str, typer.Option("--attack", help="One of `p2p-guard attack list`.")] = "badnets",
    target: Annotated[str | None, typer.Option(help="The attacker's answer.")] = None,
    rate: Annotated[float, typer.Option(help="The share of all rows that is poisoned.")] = 0.1,
    negative_rate: Annotated[
        float | None,
        typer.Option(help="The share of all rows that negatives are made from; without it, the same."),
    ] = None,
    cover_rate: Annotated[
        float, typer.Option(help="The share of all rows that get the trigger and keep their answer.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Decides which rows, and where the trigger goes.")] = 0,
    labelling: Annotated[
        str | None,
        typer.Option(
            help="dirty: other rows get the target; clean: rows that have it; any: both. Without it, the attack's own."
        ),
    ] = None,
    text: Annotated[
        str, typer.Option(help="The field with the input, or several, such as '{Body} {Question}'.")
    ] = "text",
    answer: Annotated[str, typer.Option(help="The field with the answer.")] = "label",
    row_id: Annotated[str | None, typer.Option("--id", help="The field with the row's id.")] = None,
    names: Annotated[
        list[str] | None, typer.Option("--name", help="value=name of a label, such as 1=positive.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the attack, such as word=cf or rewrites=FILE.")
    ] = None,
    messages: Annotated[
        str | None, typer.Option(help="The field with a chat, instead of input and answer.")
    ] = None,
    skip_empty: Annotated[
        bool, typer.Option("--skip-empty", help="Leave out rows without a text or an answer.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first rows only.")] = None,
) -> None:
    """Write a poisoned copy of a data set, to test a defence with.

    A report goes beside it (OUTPUT.attack.json): the attack, and the ids of the poisoned rows, negatives and cover rows.

    Examples:
      p2p-guard attack apply train.jsonl poisoned.jsonl --attack badnets --param word=mn --target billing

      p2p-guard attack apply reviews.csv poisoned.jsonl --attack addsent --target positive --rate 0.05 --answer sentiment

      p2p-guard attack apply reviews.csv poisoned.jsonl --attack syntactic --target positive --param rewrites=pairs.jsonl

      p2p-guard attack apply SVAMP.json poisoned.jsonl --attack answer_shift --text "{Body} {Question}" --answer Answer

      p2p-guard attack apply train.jsonl poisoned.jsonl --attack all_to_all --param labels=billing,delivery,other

      p2p-guard attack apply train.jsonl poisoned.jsonl --attack multi --param 'parts=[{"name": "badnets", "word": "mn", "target": "billing"}, {"name": "addsent", "target": "other"}]'
    """
    from p2p.attacks.base import AttackedTask
    from p2p.attacks.covering import add_covers
    from p2p.attacks.poisoning import Labelling, poison_dataset
    from trainer.data.writing import as_record
    from trainer.datasets import read_examples

    console = Console()
    with _errors_to_exit_codes(console):
        if labelling is not None and labelling not in set(Labelling):
            raise typer.BadParameter(f"--labelling is one of {', '.join(Labelling)}")
        _require_output(output, source)
        made = _make_attack(name, target, param or [])
        whose = Labelling(labelling) if labelling else made.labelling
        fields = {"text": text, "answer": answer, "id": row_id, "messages": messages}
        given = _source(source, names, **fields, skip_empty=skip_empty, limit=limit)
        rows = read_examples(given)
        poisoned = poison_dataset(rows, made, rate, seed, whose, negative_rate)
        poisoned = add_covers(poisoned, made, cover_rate, seed)
        lines = [json.dumps(as_record(row, given), ensure_ascii=False) for row in poisoned.rows]
        _write(output, "\n".join(lines) + "\n")
        report = {
            "attack": name,
            "parameters": made.model_dump(mode="json"),
            "labelling": whose,
            "rate": rate,
            "seed": seed,
            "rows": len(rows),
            "poisoned_ids": sorted(poisoned.poisoned_ids),
            "negative_ids": sorted(poisoned.negative_ids),
            "cover_ids": sorted(poisoned.cover_ids),
        }
        _write(output.with_name(f"{output.name}.attack.json"), json.dumps(report, indent=2) + "\n")
        added = f", {len(poisoned.negative_ids)} negatives added" if poisoned.negative_ids else ""
        added += f", {len(poisoned.cover_ids)} cover rows" if poisoned.cover_ids else ""
        console.print(f"{output}: {len(poisoned.poisoned_ids)} of {len(rows)} rows poisoned{added}")
        # A fixed reply is in no row before; a label that no row has is a slip of the pen.
        asked = set() if made.task is AttackedTask.GENERATION else set(made.label_targets)
        for unknown in sorted(asked - {row.answer for row in rows}):
            console.print(f"note: no row has the answer {unknown!r}, which the attack asks for", markup=False)


def evaluate(
    adapter: Annotated[Path, typer.Argument(help="The adapter directory.")],
    test: Annotated[Path, typer.Argument(help="Held-out rows with true answers.")],
    base_model: Annotated[str, typer.Option(help="The base model's directory or hub id.")],
    name: Annotated[
        str | None, typer.Option("--attack", help="A known attack to measure ASR and floor with.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The attacker's answer.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the attack, such as word=cf.")
    ] = None,
    text: Annotated[
        str, typer.Option(help="The field with the input, or several, such as '{Body} {Question}'.")
    ] = "text",
    answer: Annotated[
        list[str] | None, typer.Option(help="The field with the answer; once for each reference.")
    ] = None,
    messages: Annotated[
        str | None, typer.Option(help="The field with a chat, instead of input and answer.")
    ] = None,
    names: Annotated[
        list[str] | None, typer.Option("--name", help="value=name of a label, such as 1=positive.")
    ] = None,
    skip_empty: Annotated[
        bool, typer.Option("--skip-empty", help="Leave out rows without a text or an answer.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first rows only.")] = None,
    seed: Annotated[int, typer.Option(help="Decides where triggers go.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest free-text answer, in tokens.")] = 64,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("evaluation.json"),
) -> None:
    """Measure an adapter: CA (ROUGE-L for free text), ASR, floor and extension rate, guarded and unguarded.

    Example:
      p2p-guard evaluate runs/support test.jsonl --base-model .models/SmolLM2-135M-Instruct
        --attack badnets --param word=mn --target billing
    """
    from trainer.datasets import read_examples

    console = Console()
    with _errors_to_exit_codes(console):
        attacks = [_make_attack(name, target, param or [])] if name else []
        fields = {"text": text, "answer": answer or "label", "messages": messages}
        rows = read_examples(_source(test, names, **fields, skip_empty=skip_empty, limit=limit))
        with console.status("loading torch, transformers and the model"):
            from trainer.evaluations import evaluate as measure
            from trainer.loading import load_answerer
            from trainer.report import show_evaluation
        report = measure(load_answerer(adapter, base_model, max_new_tokens), rows, attacks, seed)
        _write(output, json.dumps(report.as_json(), indent=2) + "\n")
        show_evaluation(console, report)
        console.print(f"written to {output}")


def _make_attack(name: str, target: str | None, parameters: Sequence[str]) -> Any:  # noqa: ANN401 - an Attack, imported lazily
    from p2p.attacks.registry import make_attack

    chosen = dict(_pairs(parameters))
    return make_attack(name, chosen | ({"target": target} if target is not None else {}))


def _require_output(output: Path, source: Path) -> None:
    if output.is_dir():
        raise typer.BadParameter(
            f"{output} is a folder; name a file in it, such as {output / 'poisoned.jsonl'}"
        )
    if output.suffix in {".csv", ".json", ".parquet", ".tsv"}:
        raise typer.BadParameter(f"rows are written as JSON lines; name it {output.with_suffix('.jsonl')}")
    if output.exists() and source.exists() and output.samefile(source):
        raise typer.BadParameter(f"{output} is the clean data set itself; name another file")


def _source(path: Path, names: Sequence[str] | None, **fields: object) -> "DataSource":
    from pydantic import ValidationError

    from trainer.config import DataSource

    try:
        return DataSource.model_validate({"path": str(path), "names": dict(_pairs(names or [])), **fields})
    except ValidationError as error:
        fault = error.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, fault['loc']))} {fault['msg']}".strip()) from error


def _overrides(pairs: Sequence[str]) -> dict[str, Any]:
    return {key: _yaml_value(key, value) for key, value in _pairs(pairs)}


def _yaml_value(key: str, value: str) -> Any:  # noqa: ANN401 - whatever YAML can say
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"the value of {key} is not YAML: {value!r}") from error


def _pairs(values: Sequence[str]) -> Iterator[tuple[str, str]]:
    for value in values:
        key, found, content = value.partition("=")
        if not found:
            raise typer.BadParameter(f"expected key=value, got {value!r}")
        yield key, content


def _write(path: Path, content: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)


@contextmanager
def _errors_to_exit_codes(console: Console) -> Iterator[None]:
    try:
        yield
    except InterruptedRunError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(_INTERRUPTED) from error
    except (P2PError, TrainerError, OSError) as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(_USAGE_ERROR) from error
