"""The verb ``probe``: ``run``, for which ``probe`` alone stands too, ``history`` and ``schema``."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console
from typer.core import TyperGroup

from guard_server.cli import USAGE_ERROR, errors_to_exit_codes

if TYPE_CHECKING:
    from guard_server.probes.prober import Schedule
    from guard_server.probes.result import ProbeResult

_BROKEN = 1
_UNCLEAR = 3


class _RunByDefault(TyperGroup):
    """``probe CANARY ...`` means ``probe run CANARY ...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - the context's type is typer's private one
        """Put ``run`` in front of what names no other verb."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


probe = typer.Typer(
    cls=_RunByDefault,
    help="Ask a guard known triggers, on purpose. `probe CANARY ...` is `probe run CANARY ...`.",
    no_args_is_help=True,
)


@probe.command("run")
def run(
    canary: Annotated[Path, typer.Argument(help="The canary file: .yaml, .json or .jsonl.")],
    model: Annotated[str, typer.Option(help="The adapter to ask.")],
    url: Annotated[str, typer.Option(help="The guard's API.")] = "http://127.0.0.1:8000/v1",
    api_key_env: Annotated[
        str, typer.Option(help="The variable with the API key: best one of the guard's P2P_GUARD_PROBE_KEYS.")
    ] = "P2P_GUARD_API_KEY",
    concurrency: Annotated[int, typer.Option(min=1, help="Cases asked at once.")] = 8,
    max_requests: Annotated[
        int | None, typer.Option(min=1, help="What a run may cost, retries counted.")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option(min=0.1, help="How long a run may take.")] = None,
    attempts: Annotated[int, typer.Option(min=1, help="How often a question is asked at most.")] = 3,
    stop_early: Annotated[
        bool, typer.Option("--stop-early/--all-cases", help="End a run when its verdict is clear.")
    ] = False,
    run_seed: Annotated[
        int | None, typer.Option(help="Repeat a run: its seed stands in the JSON output.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where the figures go, as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Where the verdicts go, as JUnit XML.")] = None,
    history: Annotated[Path | None, typer.Option(help="The SQLite file in which runs are kept.")] = None,
    interval: Annotated[
        float | None, typer.Option(min=1, help="Repeat every so many seconds and export metrics.")
    ] = None,
    metrics_port: Annotated[
        int, typer.Option(help="Where p2p_probe_* metrics are served with --interval.")
    ] = 9108,
) -> None:
    """Ask a guard the cases of a canary file and judge its limits.

    Exit code: 0 every limit is kept, 1 one is broken, 2 nothing could be asked (or the file or an option is wrong),
    3 too little was answered to say.

    Examples:
      p2p-guard probe canary.yaml --model support --output probe.json --junit probe.xml

      p2p-guard probe canary.yaml --model support --stop-early --max-requests 400 --history probes.sqlite

      p2p-guard probe canary.yaml --model support --interval 300 --metrics-port 9108
    """
    from guard_server.probes.canary import load_canary
    from guard_server.probes.prober import Schedule
    from guard_server.probes.runner import RunOptions

    console = Console()
    key = os.environ.get(api_key_env, "")
    options = RunOptions(concurrency, max_requests, max_seconds, attempts, stop_early, run_seed)
    with errors_to_exit_codes(console):
        schedule = Schedule(load_canary(canary), interval or 0.0, options)
        if interval is not None:
            asyncio.run(_export(_Target(url, key, model), schedule, metrics_port, history))
        result = asyncio.run(_run_once(_Target(url, key, model), schedule))
        _report(console, result, output, junit, history)
    if result.cost.failed and not result.cost.answered:
        console.print(
            f"none of {result.cost.failed} questions was answered; is {url} right, and the key in {api_key_env}?"
        )
        raise typer.Exit(USAGE_ERROR)
    if code := {"failed": _BROKEN, "unclear": _UNCLEAR}.get(result.verdict):
        raise typer.Exit(code)


@probe.command("history")
def show_history(
    file: Annotated[Path, typer.Argument(help="The SQLite file of `probe run --history`.")],
    model: Annotated[str | None, typer.Option(help="Of this adapter alone.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many runs.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON lines, for other programs.")] = False,
) -> None:
    """Show past runs and where ASR and CA go.

    Example:
      p2p-guard probe history probes.sqlite --model support --last 50
    """
    from guard_server.probes.history import History
    from guard_server.probes.report import history_table, trend_table

    console = Console()
    with errors_to_exit_codes(console):
        runs = History(file).last(model, last)
    if as_json:
        for past in runs:
            typer.echo(past.model_dump_json())
        return
    console.print(history_table(runs))
    console.print(trend_table(runs))


@probe.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of canary files, for editors and pipelines."""
    from guard_server.probes.schema import canary_schema

    typer.echo(canary_schema(), nl=False)


class _Target(NamedTuple):
    url: str
    key: str
    model: str


async def _run_once(target: _Target, schedule: "Schedule") -> "ProbeResult":
    from guard_server.probes.asking import HttpAsker
    from guard_server.probes.runner import run_probe

    async with HttpAsker(*target) as asker:
        return await run_probe(schedule.canaries, asker, schedule.options)


async def _export(target: _Target, schedule: "Schedule", port: int, history: Path | None) -> None:
    from guard_server.log import configure_logging
    from guard_server.probes.asking import HttpAsker
    from guard_server.probes.exporter import export_forever

    configure_logging()
    async with HttpAsker(*target) as asker:
        await export_forever(asker, schedule, port, history)


def _report(
    console: Console, result: "ProbeResult", output: Path | None, junit: Path | None, history: Path | None
) -> None:
    from guard_server.probes.history import History
    from guard_server.probes.junit import write_junit
    from guard_server.probes.report import probe_table, write_report

    console.print(probe_table(result))
    for finding in result.findings:
        console.print(f"limit {finding.decision}: {finding.said}", markup=False)
    if output:
        write_report(output, result)
    if junit:
        write_junit(junit, result)
    if history:
        History(history).add(result)
