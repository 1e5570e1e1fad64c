"""ASR over one quantity, such as the poison rate: which rows make a line, and what it says."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from p2p.metrics.rate import Rate
from trainer.reporting.grid import Case, Grid
from trainer.reporting.names import (
    GUARDED,
    UNDEFENDED,
    UNGUARDED,
    attack_name,
    case_name,
    chart_name,
    dataset_name,
    defence_name,
    percent,
    selection_of,
    trusted_rows_of,
)
from trainer.reporting.pooling import Pooled


class Point(NamedTuple):
    """One point of a line: the quantity, and what was measured there."""

    x: float
    row: Pooled

    @property
    def asr(self) -> Rate:
        """Attack success rate; of nothing where none was measured."""
        return self.row.attack_success_rate or Rate(k=0, n=0)


class Series(NamedTuple):
    """One line: its name and its points, by the quantity."""

    name: str
    points: tuple[Point, ...]


class Sweep(NamedTuple):
    """One case, or one attack at several rates.

    Attributes:
        title: What stays the same.
        series: Lines of at least two points each.
        shares: Whether the quantity is a share, written in percent.
    """

    title: str
    series: tuple[Series, ...]
    shares: bool

    def write(self, x: float) -> str:
        """Return the quantity as it is written."""
        return percent(x) if self.shares else f"{x:,.0f}"


def poison_rate_sweeps(grid: Grid) -> tuple[Sweep, ...]:
    """Return a sweep for each data set, attack and number of rows with several poison rates.

    Args:
        grid: What was measured.
    """
    groups: dict[str, list[tuple[str, Point]]] = defaultdict(list)
    for case in grid.attacked:
        key = case.key
        title = f"{dataset_name(key.dataset)}, {attack_name(key.attack)}, {key.rows:,} rows"
        rows = [*case.of(UNDEFENDED), *grid.headline(case), *_headline_others(grid, case)]
        groups[title].extend((_method(row), Point(key.rate, row)) for row in rows)
    return _sweeps(groups, shares=True)


def trusted_rows_sweeps(grid: Grid) -> tuple[Sweep, ...]:
    """Return a sweep for each case in which a defence was measured with several numbers of trusted rows.

    Args:
        grid: What was measured.
    """
    groups: dict[str, list[tuple[str, Point]]] = defaultdict(list)
    for case in grid.attacked:
        for row in (*case.of(GUARDED), *_others(case)):
            count = trusted_rows_of(row)
            if count is not None:
                groups[case_name(case.key)].append((_method(row, count=False), Point(count, row)))
    return _sweeps(groups, shares=False)


def takeaway(sweeps: Sequence[Sweep], noun: str) -> str:
    """Say for each guarded line how ASR goes from its first to its last point.

    Args:
        sweeps: What is drawn.
        noun: What the quantity counts, such as "poison" or "trusted rows".
    """
    said = [f"{sweep.title}: {'; '.join(lines)}." for sweep in sweeps if (lines := _guarded(sweep, noun))]
    return " ".join(said) or "P2P was not measured at two points of any line."


def _guarded(sweep: Sweep, noun: str) -> list[str]:
    lines = [(each.name, each.points[0], each.points[-1]) for each in sweep.series]
    return [
        f"{name} has ASR {first.asr.value:.3f} at {sweep.write(first.x)} and {last.asr.value:.3f} at {sweep.write(last.x)} {noun}"
        for name, first, last in lines
        if first.row.defence == GUARDED
    ]


def _others(case: Case) -> list[Pooled]:
    return [row for row in case.rows if row.defence not in {UNDEFENDED, GUARDED, UNGUARDED}]


def _headline_others(grid: Grid, case: Case) -> list[Pooled]:
    defences = dict.fromkeys(row.defence for row in _others(case))
    return [row for defence in defences for row in grid.headline(case, defence)]


def _method(row: Pooled, *, count: bool = True) -> str:
    if count:
        return chart_name(row)
    method = selection_of(row)
    name = "P2P" if row.defence == GUARDED else defence_name(row.defence)
    return f"{name}, {method} rows" if method else name


def _sweeps(groups: dict[str, list[tuple[str, Point]]], *, shares: bool) -> tuple[Sweep, ...]:
    found = (Sweep(title, _series(points), shares) for title, points in groups.items())
    return tuple(sweep for sweep in found if sweep.series)


def _series(named: Sequence[tuple[str, Point]]) -> tuple[Series, ...]:
    lines: dict[str, dict[float, Point]] = defaultdict(dict)
    for name, point in named:
        if point.asr.n:
            lines[name].setdefault(point.x, point)
    return tuple(
        Series(name, tuple(points[x] for x in sorted(points)))
        for name, points in lines.items()
        if len(points) > 1
    )
