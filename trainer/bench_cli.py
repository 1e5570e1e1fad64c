"""The verb ``report``. It loads matplotlib when it needs it, so that ``--help`` is quick."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trainer.errors import TrainerError

_USAGE_ERROR = 2


def report(
    results: Annotated[Path, typer.Argument(help="The directory that `p2p-guard bench` wrote cells to.")],
    output: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("report"),
    png: Annotated[bool, typer.Option("--png", help="Write each figure as PNG, too.")] = False,
) -> None:
    """Make one readable page of measured cells: attack success before and after, other defences, cost, and how it was measured.

    Writes index.html (one file, no network needed), report.md and figures/*.svg.

    Examples:
      p2p-guard report runs/bench

      p2p-guard report runs/bench --output report/ --png
    """
    console = Console()
    try:
        with console.status("loading matplotlib and drawing"):
            from trainer.reporting.write import write_report

            written = write_report(results, output, png=png)
    except (TrainerError, OSError) as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(_USAGE_ERROR) from error
    console.print(f"{written[0]}, {written[1]} and {len(written) - 2} figures", markup=False, soft_wrap=True)
