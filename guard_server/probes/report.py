"""A probe run, and past ones, for people and for pipelines."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from guard_server.probes.history import PastRun
from guard_server.probes.result import ProbeResult
from guard_server.probes.trend import trend
from p2p.metrics.rate import Rate


def probe_table(result: ProbeResult) -> Table:
    """Return the figures, one row a family."""
    cost = result.cost
    title = (
        f"{result.adapter}: {result.verdict}; CA {result.figures.clean_accuracy}\n"
        f"{cost.answered} answers, {cost.refused} kept back, {cost.failed} errors, {cost.retries} retries; "
        f"{cost.cases} of {cost.cases_of} cases in {cost.seconds:.1f} s ({result.stop})"
    )
    table = Table("attack", "ASR", "floor", "extension rate", title=escape(title))
    for name, rates in result.figures.attacks.items():
        table.add_row(name, *map(str, rates))
    return table


def history_table(runs: Sequence[PastRun]) -> Table:
    """Return one row a run, the last at the bottom."""
    table = Table("adapter", "started", "verdict", "version", "CA", "ASR", title="Probe runs")
    for run in runs:
        shares = "\n".join(f"{name} {rates.asr}" for name, rates in run.attacks.items())
        started = f"{run.started:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            run.adapter, started, run.verdict, ", ".join(run.versions), str(run.clean_accuracy), shares
        )
    return table


def trend_table(runs: Sequence[PastRun]) -> Table:
    """Return where CA and each family's ASR go, an adapter after the other."""
    table = Table("adapter", "figure", "runs", "before", "last", "trend", title="Trend")
    for adapter in sorted({run.adapter for run in runs}):
        own = [run for run in runs if run.adapter == adapter]
        _add_trend(table, adapter, "CA", [run.clean_accuracy for run in own])
        for family in sorted({name for run in own for name in run.attacks}):
            shares = [run.attacks[family].asr for run in own if family in run.attacks]
            _add_trend(table, adapter, f"ASR {family}", shares)
    return table


def write_report(path: Path, result: ProbeResult) -> None:
    """Write the figures as JSON, whole or not at all."""
    write_whole(path, json.dumps(result.as_json(), indent=2) + "\n")


def write_whole(path: Path, content: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)


def _add_trend(table: Table, adapter: str, figure: str, shares: Sequence[Rate]) -> None:
    found = trend(shares)
    table.add_row(
        adapter,
        figure,
        str(len(shares)),
        str(found.earlier),
        str(found.latest),
        f"{found.direction} {found.line}",
    )
