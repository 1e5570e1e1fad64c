"""How many poisoned rows each way of choosing let into S, over all attacked cases."""

from collections import defaultdict

from trainer.bench.results import SelectionFigures
from trainer.reporting.grid import Grid
from trainer.reporting.names import selection_of
from trainer.reporting.tables.selection import chosen, kept_of_poisoned, selecting


def takeaway(grid: Grid) -> str:
    """Say for each way of choosing how many poisoned rows it kept of how many.

    Args:
        grid: What was measured.
    """
    methods: dict[str, list[SelectionFigures]] = defaultdict(list)
    for case in grid.attacked:
        for row in selecting(case):
            methods[selection_of(row)].extend(chosen(row))
    rates = {method: kept_of_poisoned(figures) for method, figures in methods.items()}
    said = [
        f"{method} choice lets {rate.k:,} of {rate.n:,} poisoned rows into S ({rate.value:.3f})"
        for method, rate in rates.items()
        if rate.n
    ]
    return (
        f"Over all attacked cases and runs, {'; '.join(said)}."
        if said
        else "No selection was measured on poisoned rows."
    )
