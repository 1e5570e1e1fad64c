"""Tokens trained on by defence."""

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from trainer.reporting.charts.chart import Chart
from trainer.reporting.charts.rows import Block, Line, row_frame
from trainer.reporting.charts.style import INK
from trainer.reporting.costs import DefenceCost

_BAR = "#4d6a8a"


def cost_charts(entries: Sequence[DefenceCost]) -> tuple[Chart, ...]:
    """Return the chart; nothing where no ratio is known.

    Args:
        entries: The cost of each defence.
    """
    known = [entry for entry in entries if entry.ratio is not None and not entry.shared]
    if len(known) < 2:
        return ()
    words = "; ".join(f"{entry.name}: {entry.ratio:.2f}" for entry in known if entry.ratio)
    return (
        Chart(
            name="cost",
            alt=f"Tokens trained on over those of the undefended training of the same case and seed, median. {words}",
            draw=partial(_draw, known),
        ),
    )


def takeaway(entries: Sequence[DefenceCost], guarded: Sequence[str]) -> str:
    """Say what P2P costs in training and in serving.

    Args:
        entries: The cost of each defence.
        guarded: The names of the P2P guarded entries.
    """
    said = [
        f"{entry.name} trains on {entry.ratio:.2f} times the undefended tokens and adds {entry.extra_prompt_tokens:g} "
        f"{'token' if entry.extra_prompt_tokens == 1 else 'tokens'} to each prompt"
        for entry in entries
        if entry.name in guarded and entry.ratio is not None
    ]
    return (
        f"{'; '.join(said)} (medians)."
        if said
        else "No case has the cost of both P2P and the undefended training."
    )


def _draw(entries: Sequence[DefenceCost], width: float) -> Figure:
    block = Block(
        "median over cells, bars: lowest to highest",
        "",
        tuple(Line(entry.name, f"{entry.ratio:.2f} times") for entry in entries),
    )
    frame = row_frame([block], width, [])
    for entry, at in zip(entries, frame.places[0], strict=True):
        middle = entry.ratio or 0.0
        frame.axes.barh(at, middle, height=0.13, color=_BAR)
        frame.axes.plot([min(entry.ratios), max(entry.ratios)], [at, at], color=INK, linewidth=1.3)
    frame.axes.set_xlim(0, 1.05 * max(max(entry.ratios) for entry in entries))
    frame.axes.set_xlabel("tokens trained on over those of the undefended training")
    return frame.figure
