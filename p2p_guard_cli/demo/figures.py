"""What the demo found: the figures of each column, and the table of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from p2p.examples import Example
from p2p.metrics.attack_success import attack_success_rate
from p2p.metrics.clean_accuracy import clean_accuracy
from p2p.metrics.floor import floor
from p2p.metrics.rate import Rate
from p2p_guard_cli.demo.asking import Reply
from p2p_guard_cli.demo.messages import ATTACK


class Figures(NamedTuple):
    """The figures of one column."""

    ca: Rate
    asr: Rate
    floor: Rate
    extension_rate: Rate

    def as_json(self) -> dict[str, Any]:
        """Return every rate with its counts and interval."""
        return {name: rate.as_json() for name, rate in self._asdict().items()}


def measure(
    test: Sequence[Example], clean: Sequence[Reply], counted: Sequence[Example], attacked: Sequence[Reply]
) -> Figures:
    """Return the figures of one model.

    Args:
        test: Clean rows.
        clean: The replies to them.
        counted: Those of them whose true answer is not the attack's target.
        attacked: The replies to these with the trigger in.
    """
    by_id = {row.id: reply for row, reply in zip(test, clean, strict=True)}
    return Figures(
        ca=clean_accuracy([reply.answer for reply in clean], [row.answer for row in test]),
        asr=attack_success_rate(
            ATTACK.succeeds(reply.answer, row) for reply, row in zip(attacked, counted, strict=True)
        ),
        floor=floor(ATTACK.succeeds(by_id[row.id].answer, row) for row in counted),
        extension_rate=Rate.of([bool(reply.extended) for reply in attacked if reply.extended is not None]),
    )


def figures_table(columns: dict[str, Figures], latencies: dict[str, float]) -> Table:
    """Return a table with a column for each model, and the median seconds of those that were timed."""
    table = Table(
        "",
        *columns,
        title="k/n with 95 % Wilson intervals",
        caption="unguarded: the P2P adapter without the guard",
    )
    for name, title in (("ca", "clean accuracy"), ("asr", "attack success rate"), ("floor", "floor")):
        table.add_row(title, *(str(getattr(figures, name)) for figures in columns.values()))
    table.add_row("extension rate", *(str(figures.extension_rate) for figures in columns.values()))
    p50 = [f"{1000 * latencies[view]:.0f} ms" if view in latencies else "" for view in columns]
    table.add_row("p50 latency", *p50)
    return table


def print_examples(console: Console, examples: Sequence[dict[str, str]]) -> None:
    """Print each message with its answers."""
    for example in examples:
        console.print(f"\n  {example['message']!r}", markup=False)
        console.print(
            f"    true: {example['true']}   undefended: {example['undefended']}   guarded: {example['guarded']}   "
            f"adapter without guard: {example['unguarded']}",
            markup=False,
        )
