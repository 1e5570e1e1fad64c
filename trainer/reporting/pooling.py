"""Cells of several seeds, pooled: one row of a table, one marker of a chart."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import NamedTuple

from p2p.metrics.rate import Interval, Rate
from trainer.bench.results import CaseId, CellResult, Figures

RateOf = Callable[[Figures], Rate | None]
"""Picks one share of a cell's figures."""


class CaseKey(NamedTuple):
    """A case without its seed; see :class:`trainer.bench.results.CaseId`."""

    dataset: str
    task: str
    attack: str
    rate: float
    rows: int

    @classmethod
    def of(cls, case: CaseId) -> "CaseKey":
        """Leave the seed out."""
        return cls(case.dataset, case.task, case.attack, case.rate, case.rows)


class Pooled(NamedTuple):
    """One defence in one variant on one case, over all its seeds.

    Attributes:
        case: The case, seed left out.
        defence: The defence's name in results.
        variant: What differs from its defaults, sorted by name.
        cells: One cell for each seed, by seed.
    """

    case: CaseKey
    defence: str
    variant: tuple[tuple[str, str], ...]
    cells: tuple[CellResult, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(cell.case.seed for cell in self.cells)

    @property
    def clean_accuracy(self) -> Rate:
        """CA, k and n added up over the seeds."""
        return _sum(cell.figures.clean_accuracy for cell in self.cells)

    @property
    def attack_success_rate(self) -> Rate | None:
        """ASR, k and n added up; None where no seed has one."""
        return self.rate(lambda figures: figures.attack_success_rate)

    @property
    def attack_success_on_all(self) -> Rate | None:
        """In maths ASR over all triggered rows, solved or not, k and n added up; None where no seed has one."""
        return self.rate(lambda figures: figures.attack_success_on_all)

    @property
    def floor(self) -> Rate | None:
        """The floor, k and n added up; None where no seed has one."""
        return self.rate(lambda figures: figures.floor)

    @property
    def extension_rate(self) -> Rate | None:
        """The extension rate, k and n added up; None where no seed has one."""
        return self.rate(lambda figures: figures.extension_rate)

    @property
    def quality(self) -> float | None:
        """The mean over the seeds of mean ROUGE-L F1; None where no seed has one."""
        values = [cell.figures.quality for cell in self.cells if cell.figures.quality is not None]
        return fmean(values) if values else None

    @property
    def quality_interval(self) -> Interval | None:
        """The mean over the seeds of both ends of ROUGE-L's interval; None where a seed has none.

        All seeds are asked the same test rows, so their intervals are averaged as if they moved together: never narrower than a joint one.
        """
        ends = [cell.figures.quality_interval for cell in self.cells]
        known = [each for each in ends if each is not None]
        if len(known) < len(ends):
            return None
        return Interval(fmean(low for low, _ in known), fmean(high for _, high in known))

    def rate(self, pick: RateOf) -> Rate | None:
        """Add up k and n of one share over the seeds that have it; None where none has."""
        found = [rate for cell in self.cells if (rate := pick(cell.figures)) is not None]
        return _sum(found) if found else None

    def by_seed(self, pick: RateOf) -> dict[int, Rate]:
        """Return one share for each seed that has it."""
        pairs = ((cell.case.seed, pick(cell.figures)) for cell in self.cells)
        return {seed: rate for seed, rate in pairs if rate is not None}

    def same_seeds(self, other: "Pooled") -> "Pooled | None":
        """Return the cells of another row's seeds; None where one of its seeds is not here."""
        return self.only(other.seeds) if set(other.seeds) <= set(self.seeds) else None

    def only(self, seeds: Iterable[int]) -> "Pooled":
        """Leave out the cells of other seeds; where none would be left, nothing is left out."""
        wanted = set(seeds)
        kept = tuple(cell for cell in self.cells if cell.case.seed in wanted)
        return self._replace(cells=kept) if kept else self


class Pooling(NamedTuple):
    """All rows, and what was left out of them.

    Attributes:
        rows: Every defence, variant and case, in the order in which cells came.
        superseded: Cells that a later one of the same case, seed, defence and variant replaces.
    """

    rows: tuple[Pooled, ...]
    superseded: tuple[CellResult, ...]


def pool(results: Iterable[CellResult]) -> Pooling:
    """Group cells that differ in the seed alone.

    Where several cells are equal in all but the content key, the one that finished last counts, so that no row of a test set counts twice.

    Args:
        results: The cells.
    """
    latest: dict[tuple[CaseId, str, tuple[tuple[str, str], ...]], CellResult] = {}
    superseded = []
    for cell in results:
        place = (cell.case, cell.defence, tuple(sorted(cell.variant.items())))
        if place in latest:
            older, latest[place] = sorted((latest[place], cell), key=lambda each: each.finished)
            superseded.append(older)
        else:
            latest[place] = cell
    groups: dict[tuple[CaseKey, str, tuple[tuple[str, str], ...]], list[CellResult]] = defaultdict(list)
    for (case, defence, variant), cell in latest.items():
        groups[CaseKey.of(case), defence, variant].append(cell)
    rows = (
        Pooled(*place, tuple(sorted(cells, key=lambda cell: cell.case.seed)))
        for place, cells in groups.items()
    )
    return Pooling(tuple(rows), tuple(superseded))


def _sum(rates: Iterable[Rate]) -> Rate:
    counted = list(rates)
    return Rate(k=sum(rate.k for rate in counted), n=sum(rate.n for rate in counted))
