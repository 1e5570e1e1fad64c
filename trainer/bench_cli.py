"""The verbs ``bench`` and ``report``. They load torch and matplotlib when they need them, so that ``--help`` is quick."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from p2p.errors import P2PError
from trainer.errors import TrainerError

_FAILED = 1
_USAGE_ERROR = 2
_INTERRUPTED = 130
_LIST_WIDTH = 200


def bench(
    suite: Annotated[str, typer.Option(help="quick, standard, generation, full, or a YAML file.")] = "quick",
    output: Annotated[Path, typer.Option(help="Where results go; run again to go on.")] = Path("runs/bench"),
    data: Annotated[
        Path, typer.Option(envvar="P2P_DATASETS", help="The folder that a suite's data paths start at.")
    ] = Path(),
    case: Annotated[list[str] | None, typer.Option(help="Only this case; may be given again.")] = None,
    defence: Annotated[list[str] | None, typer.Option(help="Only this defence; may be given again.")] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Show the cells and whether they are measured.")
    ] = False,
) -> None:
    """Measure a grid of attacks, tasks, selections and defences; each cell once, and never again.

    Ctrl-C or a kill costs the cell at hand: call it again to go on. Several processes may share one output folder: each takes
    cells that no other has. Set OMP_NUM_THREADS to share the processors between them.

    Examples:
      p2p-guard bench --suite quick

      p2p-guard bench --suite standard --data ~/datasets --output runs/standard

      p2p-guard bench --suite mine.yaml --case word --defence none --defence p2p-screened
    """
    from trainer.bench.suite import Cell, require_names
    from trainer.bench.suite_files import load_suite

    console = Console()

    def wanted(cell: Cell) -> bool:
        return (not case or cell.case_name in case) and (not defence or cell.defence_name in defence)

    try:
        chosen = load_suite(suite)
        require_names(chosen, case or (), defence or ())
        with console.status("loading torch and transformers"):
            from trainer.bench.grid import Grid

            grid = Grid(chosen, data, output, console)
        if list_:
            # Names are there to be copied: a pipe has no width, and cuts none.
            (console if console.is_terminal else Console(width=_LIST_WIDTH)).print(grid.table(wanted))
            return
        grid.run(wanted)
    except KeyboardInterrupt:
        console.print("stopped; nothing measured is lost. Run it again to go on.")
        raise typer.Exit(_INTERRUPTED) from None
    except (P2PError, TrainerError, OSError) as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(_USAGE_ERROR) from error
    for failure in grid.failed:
        cell = failure.cell
        console.print(
            f"failed: {cell.case_name} | {cell.defence_name} | seed {cell.seed}: {failure.reason}",
            markup=False,
            soft_wrap=True,
        )
    console.print(f"p2p-guard report {output} makes a page of it", markup=False, soft_wrap=True)
    if grid.failed:
        raise typer.Exit(_FAILED)


def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="The directories that `p2p-guard bench` wrote cells to; one page of all."),
    ],
    output: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("report"),
    png: Annotated[bool, typer.Option("--png", help="Write each figure as PNG, too.")] = False,
) -> None:
    """Make one readable page of measured cells: attack success before and after, other defences, cost, and how it was measured.

    Writes index.html (one file, no network needed), report.md and figures/*.svg.

    Examples:
      p2p-guard report runs/bench

      p2p-guard report runs/bench --output report/ --png

      p2p-guard report runs/standard runs/generation
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
