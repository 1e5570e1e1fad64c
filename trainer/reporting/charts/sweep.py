"""ASR over one quantity, such as the poison rate: one small chart a case, one line a method."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, NullLocator

from p2p.metrics.rate import Rate
from trainer.reporting.charts.chart import Chart, slug
from trainer.reporting.charts.panel import panel
from trainer.reporting.charts.style import FLOOR, Look, Looks, counts_of
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


class Series(NamedTuple):
    """One line: its name and its points, by the quantity."""

    name: str
    points: tuple[Point, ...]


class Sweep(NamedTuple):
    """One small chart.

    Attributes:
        title: What stays the same.
        series: Lines of at least two points each.
    """

    title: str
    series: tuple[Series, ...]


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
    return _sweeps(groups)


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
    return _sweeps(groups)


def sweep_charts(
    sweeps: Iterable[Sweep], kind: str, axis: str, looks: Looks, *, shares: bool
) -> tuple[Chart, ...]:
    """Return one chart for each sweep.

    Args:
        sweeps: What is drawn.
        kind: The first part of the files' names.
        axis: The title of the horizontal axis, with its unit.
        looks: Colours and markers.
        shares: Whether the quantity is a share, written in percent.
    """
    write: Callable[[float], str] = percent if shares else "{:,.0f}".format
    return tuple(
        Chart(
            name=f"{kind}-{slug(sweep.title)}",
            alt=f"Attack success rate over {axis}, {sweep.title}. "
            + " ".join(_words(each, write) for each in sweep.series),
            draw=partial(_draw, sweep, axis, looks, write),
            panel=True,
        )
        for sweep in sweeps
    )


def takeaway(sweeps: Sequence[Sweep], noun: str, *, shares: bool) -> str:
    """Say for each guarded line how ASR goes from its first to its last point.

    Args:
        sweeps: What is drawn.
        noun: What the quantity counts, such as "poison" or "trusted rows".
        shares: Whether it is written in percent.
    """
    write: Callable[[float], str] = percent if shares else "{:,.0f}".format
    said = [
        f"{sweep.title}: {'; '.join(lines)}." for sweep in sweeps if (lines := _guarded(sweep, noun, write))
    ]
    return " ".join(said) or "P2P was not measured at two points of any line."


def _guarded(sweep: Sweep, noun: str, write: Callable[[float], str]) -> list[str]:
    lines = [(each.name, each.points[0], each.points[-1]) for each in sweep.series]
    return [
        f"{name} has ASR {_asr(first.row).value:.3f} at {write(first.x)} and {_asr(last.row).value:.3f} at {write(last.x)} {noun}"
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


def _words(series: Series, write: Callable[[float], str]) -> str:
    points = ", ".join(f"{_asr(point.row).value:.2f} at {write(point.x)}" for point in series.points)
    return f"{series.name}: {points}."


def _sweeps(groups: dict[str, list[tuple[str, Point]]]) -> tuple[Sweep, ...]:
    found = (Sweep(title, _series(points)) for title, points in groups.items())
    return tuple(sweep for sweep in found if sweep.series)


def _series(named: Sequence[tuple[str, Point]]) -> tuple[Series, ...]:
    lines: dict[str, dict[float, Point]] = defaultdict(dict)
    for name, point in named:
        if _asr(point.row).n:
            lines[name].setdefault(point.x, point)
    return tuple(
        Series(name, tuple(points[x] for x in sorted(points)))
        for name, points in lines.items()
        if len(points) > 1
    )


def _asr(row: Pooled) -> Rate:
    return row.attack_success_rate or Rate(k=0, n=0)


def _draw(sweep: Sweep, axis: str, looks: Looks, write: Callable[[float], str], width: float) -> Figure:
    handles = [_handle(looks.of(each.points[0].row), each.name) for each in sweep.series]
    floors = [each for each in sweep.series if each.points[0].row.defence == GUARDED]
    if floors:
        handles.append(Line2D([], [], color=FLOOR, linestyle=":", label="floor of P2P"))
    counts = counts_of(_asr(point.row).n for each in sweep.series for point in each.points)
    figure, axes = panel(sweep.title, f"{counts} triggered test rows a point", width, handles)
    for each in sweep.series:
        _line(axes, each, looks.of(each.points[0].row))
    for each in floors:
        shares = [(point.x, point.row.floor.value) for point in each.points if point.row.floor]
        axes.plot(
            [x for x, _ in shares], [share for _, share in shares], color=FLOOR, linestyle=":", linewidth=1.2
        )
    _axes(axes, {point.x for each in sweep.series for point in each.points}, write)
    axes.set_xlabel(axis)
    axes.set_ylabel("attack success rate")
    return figure


def _handle(look: Look, label: str) -> Line2D:
    return Line2D([], [], color=look.colour, marker=look.marker, markersize=6, linewidth=1.4, label=label)


def _line(axes: Axes, series: Series, look: Look) -> None:
    """Draw a line; other defences' are thinner, so that P2P and the undefended model stand out."""
    ours = series.points[0].row.defence in {UNDEFENDED, GUARDED}
    xs = [point.x for point in series.points]
    rates = [_asr(point.row) for point in series.points]
    for x, rate in zip(xs, rates, strict=True):
        axes.plot([x, x], list(rate.interval), color=look.colour, linewidth=1.2, alpha=0.65)
    axes.plot(
        xs,
        [rate.value for rate in rates],
        color=look.colour,
        marker=look.marker,
        markersize=6 if ours else 5,
        markeredgecolor="white",
        markeredgewidth=0.5,
        linewidth=2 if ours else 0.9,
        alpha=1 if ours else 0.8,
        clip_on=False,
        zorder=5 if ours else 3,
    )


def _axes(axes: Axes, xs: set[float], write: Callable[[float], str]) -> None:
    if min(xs) > 0:
        axes.set_xscale("log")
        axes.set_xlim(min(xs) / 1.15, max(xs) * 1.15)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(sorted(xs), [write(x) for x in sorted(xs)])
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
