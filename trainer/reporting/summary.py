"""What P2P gives over all cases that count, one entry for each way of choosing rows."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean
from typing import NamedTuple

from p2p.metrics.rate import Rate
from trainer.reporting.difference import Difference, difference
from trainer.reporting.grid import Case, Grid
from trainer.reporting.names import chosen_name
from trainer.reporting.pooling import Pooled


class Compared(NamedTuple):
    """A guarded row beside the undefended one of the same case and seeds."""

    case: Case
    undefended: Pooled
    guarded: Pooled

    @property
    def above_floor(self) -> Difference | None:
        """ASR - floor, guarded; None where either was not measured."""
        asr, floor = self.guarded.attack_success_rate, self.guarded.floor
        return difference(asr, floor) if asr and floor and asr.n and floor.n else None


class Summary(NamedTuple):
    """One way of choosing rows over all cases that count and have it.

    Attributes:
        settings: Such as ``trusted, 150 rows``.
        pairs: Its cases.
    """

    settings: str
    pairs: tuple[Compared, ...]

    @property
    def asr_before(self) -> Rate:
        """The undefended model's ASR, pooled."""
        return _sum(pair.undefended.attack_success_rate for pair in self.pairs)

    @property
    def asr_after(self) -> Rate:
        """The guarded model's ASR, pooled."""
        return _sum(pair.guarded.attack_success_rate for pair in self.pairs)

    @property
    def floor(self) -> Rate:
        """The guarded model's floor, pooled."""
        return _sum(pair.guarded.floor for pair in self.pairs)

    @property
    def of_accuracy(self) -> tuple[Compared, ...]:
        """The cases whose CA is a share of right answers: that of free text, free of the attacker's, is another thing."""
        return tuple(pair for pair in self.pairs if pair.guarded.quality is None)

    @property
    def ca_before(self) -> Rate:
        """The undefended model's CA, pooled over the cases of accuracy; where there is none, over all."""
        return _sum(pair.undefended.clean_accuracy for pair in self.of_accuracy or self.pairs)

    @property
    def ca_after(self) -> Rate:
        """The guarded model's CA, pooled over the same cases."""
        return _sum(pair.guarded.clean_accuracy for pair in self.of_accuracy or self.pairs)

    @property
    def quality(self) -> tuple[float, float] | None:
        """ROUGE-L, undefended and guarded, means over the cases of free text; None where there is none."""
        found = [(pair.undefended.quality, pair.guarded.quality) for pair in self.pairs]
        known = [(before, after) for before, after in found if before is not None and after is not None]
        return (fmean(before for before, _ in known), fmean(after for _, after in known)) if known else None

    @property
    def worst(self) -> Compared | None:
        """The case with the largest ASR - floor; None where no floor was measured."""
        known = [pair for pair in self.pairs if pair.above_floor]
        return max(known, key=lambda pair: pair.above_floor.value if pair.above_floor else 0.0, default=None)


def summarise(grid: Grid) -> tuple[Summary, ...]:
    """Return one summary for each way of choosing rows, the one with most cases first.

    Args:
        grid: What was measured.
    """
    pairs: dict[str, list[Compared]] = defaultdict(list)
    for case in grid.counted:
        for row in grid.headline(case):
            undefended = case.undefended.same_seeds(row) if case.undefended else None
            if undefended and row.attack_success_rate:
                pairs[chosen_name(row)].append(Compared(case, undefended, row))
    found = [Summary(settings, tuple(compared)) for settings, compared in pairs.items()]
    return tuple(sorted(found, key=lambda each: -len(each.pairs)))


def _sum(rates: Iterable[Rate | None]) -> Rate:
    counted = [rate for rate in rates if rate]
    return Rate(k=sum(rate.k for rate in counted), n=sum(rate.n for rate in counted))
