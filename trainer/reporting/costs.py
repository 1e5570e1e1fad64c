"""What each defence costs, beside the undefended training of the same case and seed."""

from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

from trainer.bench.results import CaseId, CellResult
from trainer.reporting.grid import Grid, row_order
from trainer.reporting.names import UNDEFENDED, UNGUARDED, defence_name, selection_of
from trainer.reporting.pooling import Pooled


class DefenceCost(NamedTuple):
    """The cost of one defence.

    Attributes:
        name: The defence, with its way of choosing rows.
        cells: How many cells were measured.
        tokens: Tokens trained on, median.
        seconds: Training time in seconds, median, lowest and highest.
        ratios: Tokens trained on over the undefended training's, one for each cell whose case and seed has both: seconds of cells that were measured on
            other days, or beside other work, say little.
        peak_memory_gib: The highest peak in GiB; None where no cell says.
        extra_prompt_tokens: Tokens that serving adds to a prompt, median.
        queries: Passes through a model that one request costs, median; None where no cell says.
        details: What the defence counted besides, by name, median over the cells that say.
        shared: Whether the training is another entry's, too: the P2P adapter without the guard.
    """

    name: str
    cells: int
    tokens: float
    seconds: tuple[float, float, float]
    ratios: tuple[float, ...]
    peak_memory_gib: float | None
    extra_prompt_tokens: float
    queries: float | None
    details: Mapping[str, float]
    shared: bool

    @property
    def ratio(self) -> float | None:
        """The median of the ratios; None where there is none."""
        return median(self.ratios) if self.ratios else None


def costs(grid: Grid) -> tuple[DefenceCost, ...]:
    """Return the cost of each defence, the undefended training first. Ablations are left out.

    Args:
        grid: What was measured.
    """
    plain: dict[CaseId, int] = {}
    groups: dict[str, list[CellResult]] = defaultdict(list)
    first: dict[str, Pooled] = {}
    for case in grid.cases:
        for row in case.rows:
            first.setdefault(_name(row), row)
            groups[_name(row)].extend(row.cells)
            if row.defence == UNDEFENDED:
                plain |= {cell.case: cell.cost.tokens for cell in row.cells}
    ordered = sorted(groups, key=lambda name: row_order(first[name]))
    return tuple(_cost(name, groups[name], plain) for name in ordered)


def _name(row: Pooled) -> str:
    method = selection_of(row)
    return f"{defence_name(row.defence)}{f' ({method})' if method else ''}"


def _cost(name: str, cells: list[CellResult], plain: dict[CaseId, int]) -> DefenceCost:
    seconds = [cell.cost.seconds for cell in cells]
    peaks = [cell.cost.peak_memory_gib for cell in cells if cell.cost.peak_memory_gib is not None]
    queries = [cell.cost.queries_per_request for cell in cells if cell.cost.queries_per_request is not None]
    return DefenceCost(
        name=name,
        cells=len(cells),
        tokens=median(cell.cost.tokens for cell in cells),
        seconds=(median(seconds), min(seconds), max(seconds)),
        ratios=tuple(
            cell.cost.tokens / plain[cell.case] for cell in cells if plain.get(cell.case) and cell.cost.tokens
        ),
        peak_memory_gib=max(peaks, default=None),
        extra_prompt_tokens=median(cell.cost.extra_prompt_tokens for cell in cells),
        queries=median(queries) if queries else None,
        details=_details(cells),
        shared=cells[0].defence == UNGUARDED,
    )


def _details(cells: list[CellResult]) -> dict[str, float]:
    names = dict.fromkeys(name for cell in cells for name in cell.details)
    return {name: median(cell.details[name] for cell in cells if name in cell.details) for name in names}
