"""What was not measured: a report says so, and a reader need not look for it."""

from collections.abc import Iterator

from trainer.reporting.grid import Case, Grid
from trainer.reporting.names import GUARDED, UNGUARDED, case_name, row_name


def gaps(grid: Grid) -> tuple[str, ...]:
    """Return one sentence for each thing that a case lacks.

    Args:
        grid: What was measured.
    """
    found = [f"{case_name(case.key)}: {what}." for case in grid.attacked for what in _of(case)]
    if grid.superseded:
        count = len(grid.superseded)
        found.append(
            f"{count} {'cell was' if count == 1 else 'cells were'} left out because a later one of the same case, seed, defence and "
            "variant is there."
        )
    return tuple(found)


def _of(case: Case) -> Iterator[str]:
    if not case.undefended:
        yield "the undefended model was not measured"
    if not case.of(GUARDED):
        yield "the guarded P2P model was not measured"
    elif not case.of(UNGUARDED):
        yield "the P2P adapter was not measured without the guard"
    if not case.never_poisoned:
        yield "no never-poisoned model on the same data set and number of rows"
    seeds = {seed for row in case.rows for seed in row.seeds}
    fewer = [row_name(row) for row in case.rows if set(row.seeds) != seeds]
    if fewer:
        yield f"not every one of the {len(seeds)} seeds for {', '.join(fewer)}"
