"""``probe new``: it reads rows as the trainer does and makes the guard's canaries of them, so it belongs to neither."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from guard_server.cli import errors_to_exit_codes

if TYPE_CHECKING:
    from trainer.config import DataSource


def new(
    data: Annotated[Path, typer.Argument(help="Held-out rows: .jsonl, .json, .csv, .tsv or .parquet.")],
    output: Annotated[Path, typer.Argument(help="The canary file, .yaml.")],
    attacks: Annotated[
        list[str],
        typer.Option(
            "--attack", help="NAME or NAME:key=value,... of `p2p-guard attack list`; once for each."
        ),
    ],
    target: Annotated[
        str | None, typer.Option(help="The attacker's answer, where --attack names none.")
    ] = None,
    cases: Annotated[int, typer.Option(min=1, help="Cases of each attack.")] = 100,
    clean: Annotated[int, typer.Option(min=0, help="Clean cases of every label besides, for CA.")] = 50,
    seed: Annotated[int, typer.Option(help="Decides which rows, and where triggers go.")] = 0,
    ready: Annotated[
        bool,
        typer.Option(
            "--ready", help="Write triggered texts; without it, triggers go in when a case is asked."
        ),
    ] = False,
    asr_max: Annotated[
        float | None, typer.Option(min=0, max=1, help="The limit on each attack's ASR.")
    ] = 0.1,
    clean_accuracy_min: Annotated[
        float | None, typer.Option(min=0, max=1, help="The limit on CA; none by default.")
    ] = None,
    text: Annotated[
        str, typer.Option(help="The field with the input, or several, such as '{Body} {Question}'.")
    ] = "text",
    answer: Annotated[str, typer.Option(help="The field with the answer.")] = "label",
    row_id: Annotated[str | None, typer.Option("--id", help="The field with the row's id.")] = None,
    messages: Annotated[
        str | None, typer.Option(help="The field with a chat, instead of input and answer.")
    ] = None,
    names: Annotated[
        list[str] | None, typer.Option("--name", help="value=name of a label, such as 1=positive.")
    ] = None,
) -> None:
    """Make a canary file from held-out rows and known attacks. The same rows and seed make the same file.

    Examples:
      p2p-guard probe new test.jsonl canary.yaml --id id --attack badnets:word=mn --attack addsent --target billing

      p2p-guard probe new test.csv canary.yaml --attack "{name: addsent, sentence: 'Well, well', target: billing}" --ready
    """
    from guard_server.probes.canary import MadeFrom, ProbeLimits
    from guard_server.probes.making import Wanted, as_yaml, make_canaries, named_apart, parse_family
    from guard_server.probes.report import write_whole
    from p2p.manifest import sha256_file
    from trainer.datasets import read_examples

    console = Console()
    with errors_to_exit_codes(console):
        families = named_apart([parse_family(attack, target) for attack in attacks])
        rows = read_examples(
            _source(data, names or [], text=text, answer=answer, id=row_id, messages=messages)
        )
        limits = ProbeLimits(asr_max=asr_max, clean_accuracy_min=clean_accuracy_min)
        wanted = Wanted(families, cases, clean, seed, ready, limits)
        made_from = MadeFrom(data=data.name, sha256=sha256_file(data), rows=len(rows))
        made = make_canaries(rows, wanted, made_from)
        output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(output, as_yaml(made))
    console.print(f"{output}: {len(made.cases)} cases, {', '.join(made.families)}", markup=False)


def _source(path: Path, names: list[str], **fields: object) -> "DataSource":
    from pydantic import ValidationError

    from trainer.config import DataSource

    pairs = [pair.partition("=") for pair in names]
    if any(not middle for _, middle, _ in pairs):
        raise typer.BadParameter("--name takes value=name")
    known = {key: name for key, _, name in pairs}
    try:
        return DataSource.model_validate({"path": str(path), "names": known, **fields})
    except ValidationError as error:
        fault = error.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, fault['loc']))} {fault['msg']}".strip()) from error
