"""Where another defence does at least as well as P2P: a report must say so."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from p2p.metrics.rate import Rate
from trainer.reporting.grid import Case, Grid
from trainer.reporting.names import GUARDED, UNDEFENDED, UNGUARDED, chart_name, defence_name
from trainer.reporting.pooling import Pooled


class Ahead(NamedTuple):
    """A defence with no more ASR and no less CA than P2P on a case."""

    case: Case
    rival: Pooled
    guarded: Pooled


def rivals(case: Case) -> tuple[Pooled, ...]:
    """Return the rows of other defences that have an ASR.

    Args:
        case: The case.
    """
    ours = {UNDEFENDED, GUARDED, UNGUARDED}
    return tuple(row for row in case.rows if row.defence not in ours and _measured(row.attack_success_rate))


def ahead(grid: Grid) -> tuple[Ahead, ...]:
    """Return each defence that is at least as good as a headline P2P row in both figures, over the cases that count.

    Point values over the seeds that both have are compared, intervals left aside.

    Args:
        grid: What was measured.
    """
    return tuple(
        Ahead(case, rival, guarded)
        for case in grid.counted
        for one in grid.headline(case)
        for other in rivals(case)
        for rival, guarded in [(other.only(one.seeds), one.only(other.seeds))]
        if _at_least_as_good(rival, guarded)
    )


def takeaway(grid: Grid) -> str:
    """Say for each way of choosing rows in how many cases another defence is as good as P2P in both figures, and which.

    Args:
        grid: What was measured.
    """
    compared = Counter(
        chart_name(row) for case in grid.counted if rivals(case) for row in grid.headline(case)
    )
    if not compared:
        return "No case that counts has both P2P and another defence."
    found: dict[str, list[Ahead]] = defaultdict(list)
    for each in ahead(grid):
        found[chart_name(each.guarded)].append(each)
    said = [_said(name, found[name], cases) for name, cases in compared.most_common()]
    return f"Another defence has no more ASR and no less CA than {'; than '.join(said)}."


def _said(guarded: str, found: Sequence[Ahead], cases: int) -> str:
    where = len({each.case.key for each in found})
    who = ", ".join(sorted({defence_name(each.rival.defence) for each in found}))
    return f"{guarded}: in {where or 'none'} of {cases} cases{f' ({who})' if who else ''}"


def _measured(rate: Rate | None) -> bool:
    return rate is not None and rate.n > 0


def _at_least_as_good(rival: Pooled, guarded: Pooled) -> bool:
    theirs, ours = rival.attack_success_rate, guarded.attack_success_rate
    if theirs is None or ours is None:
        return False
    return theirs.value <= ours.value and rival.clean_accuracy.value >= guarded.clean_accuracy.value
