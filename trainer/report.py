"""What a person sees of a run: progress while it lasts, a summary at its end."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from trainer.evaluations import EvaluationReport, ViewFigures

# Adapters that keep attacks off have 0.96 and more (docs/results.md); those of too few rows next to nothing.
_LEARNED = 0.9


class TrainingProgress:
    """A bar over the tokens of a run, with tokens/s, loss and time left.

    Where the output is no terminal, a line is printed every tenth of the way instead.

    Args:
        console: Where lines go.
        bar: The bar, not shown where the console is no terminal.
        task: The bar's one task.
        total: How many tokens there are to train on, all epochs together.
        name: What is done to them.
    """

    def __init__(self, console: Console, bar: Progress, task: TaskID, total: int, name: str) -> None:
        self._name = name
        self._console = console
        self._bar = bar
        self._task = task
        self._total = total
        self._printed = 0

    def advance(self, done: int, speed: float, loss: float | None = None) -> None:
        """Show how far the run is.

        Args:
            done: Tokens trained on so far, those before a resumption included.
            speed: Tokens a second; 0 when it is not known yet.
            loss: The last batch's, in nats; None where nothing is learned.
        """
        shown = "" if loss is None else f"loss {loss:.3f}"
        self._bar.update(self._task, completed=done, speed=f"{speed:,.0f} tokens/s", loss=shown)
        tenth = 10 * done // self._total
        if not self._console.is_terminal and tenth > self._printed:
            self._printed = tenth
            left = (self._total - done) / speed if speed else 0
            self._console.print(
                f"  {self._name} {10 * tenth} %  {shown}  {speed:,.0f} tokens/s  {left:.0f} s left"
            )


@contextmanager
def training_progress(console: Console, total: int, name: str = "training") -> Iterator[TrainingProgress]:
    """Show a bar while the block runs.

    Args:
        console: Where it is shown.
        total: How many tokens there are to train on, at least 1.
        name: What is done to them.
    """
    columns = (
        TextColumn(name),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[loss]}  {task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield TrainingProgress(console, bar, bar.add_task("", total=total, speed="", loss=""), total, name)


def peak_memory_gib() -> float:
    """Return the most memory that this process has held so far, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20


def evaluation_table(report: EvaluationReport) -> Table:
    """Return the figures of an evaluation, one row a view and attack.

    Args:
        report: What was measured.
    """
    table = Table(
        "view", "CA", "attack", "ASR", "floor", "extension rate", title="k/n with 95 % Wilson intervals"
    )
    for view in report.views:
        table.add_row(view.view, _clean_figure(view, report.rows), "", "", "", str(view.extension_rate))
        for attack in view.attacks:
            table.add_row(
                "",
                "",
                attack.attack,
                str(attack.attack_success_rate),
                str(attack.floor),
                str(attack.extension_rate),
            )
    return table


def show_evaluation(console: Console, report: EvaluationReport) -> None:
    """Print the figures of an evaluation, and what a person should know of them before the adapter is served.

    Args:
        console: Where they go.
        report: What was measured.
    """
    console.print(evaluation_table(report))
    for view in report.views:
        rate = view.extension_rate
        if view.view == "guarded" and rate.n and rate.value < _LEARNED:
            console.print(
                f"note: only {rate.k} of {rate.n} guarded replies stood in the extended half by themselves: the adapter has not learned "
                "it, so that the guard holds it to guesses. Train on more rows (data), longer (training.epochs), or on more copies of "
                "each row (repoison.copies)"
            )


def _clean_figure(view: ViewFigures, rows: int) -> str:
    """Return CA, or the quality of free text, which has no CA."""
    return str(view.clean_accuracy) if view.quality is None else f"ROUGE-L {view.quality:.3f} (n = {rows})"
