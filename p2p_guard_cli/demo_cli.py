"""The verb ``demo``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def demo(
    seed: Annotated[int, typer.Option(help="Decides poison, training and questions.")] = 0,
    base_model: Annotated[Path, typer.Option(help="The base model's directory.")] = Path(
        ".models/SmolLM2-135M-Instruct"
    ),
    output: Annotated[Path, typer.Option(help="Where everything goes; an earlier demo is emptied.")] = Path(
        "demo-output"
    ),
) -> None:
    """Poison the shipped data set, train with and without the defence, serve both, attack both, print the figures.

    Example:
      p2p-guard demo --seed 1
    """
    from p2p_guard_cli.demo.errors import DemoError
    from p2p_guard_cli.demo.run import run_demo

    console = Console()
    try:
        run_demo(console, seed=seed, base_model=base_model, output=output)
    except DemoError as error:
        console.print(f"demo: {error}", markup=False)
        raise typer.Exit(1) from error
