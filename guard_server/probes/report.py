"""A probe run for people and for pipelines."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from guard_server.probes.runner import ProbeResult


def probe_table(result: ProbeResult) -> Table:
    """Return the figures, one row an attack."""
    title = f"{result.model}: CA {result.clean_accuracy}, {result.asked} answers, {result.errors} errors"
    table = Table("attack", "ASR", "floor", "extension rate", title=title)
    for name, rates in result.attacks.items():
        table.add_row(name, *map(str, rates))
    return table


def write_report(path: Path, result: ProbeResult, broken: list[str]) -> None:
    """Write the figures as JSON, whole or not at all."""
    content: dict[str, Any] = {
        "model": result.model,
        "passed": not broken,
        "broken_limits": broken,
        "clean_accuracy": result.clean_accuracy.as_json(),
        "attacks": {
            name: {figure: rate.as_json() for figure, rate in rates._asdict().items()}
            for name, rates in result.attacks.items()
        },
        "asked": result.asked,
        "errors": result.errors,
        "seconds": round(result.seconds, 3),
    }
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
