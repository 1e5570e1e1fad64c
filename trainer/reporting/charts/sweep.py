"""ASR over one quantity, such as the poison rate: one small chart a case, one line a method."""

from collections.abc import Callable, Iterable
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, NullLocator

from trainer.reporting.charts.chart import Chart, slug
from trainer.reporting.charts.panel import panel
from trainer.reporting.charts.style import FLOOR, Look, Looks, counts_of
from trainer.reporting.names import GUARDED, UNDEFENDED
from trainer.reporting.sweeps import Series, Sweep


def sweep_charts(sweeps: Iterable[Sweep], kind: str, axis: str, looks: Looks) -> tuple[Chart, ...]:
    """Return one chart for each sweep.

    Args:
        sweeps: What is drawn.
        kind: The first part of the files' names.
        axis: The title of the horizontal axis, with its unit.
        looks: Colours and markers.
    """
    return tuple(
        Chart(
            name=f"{kind}-{slug(sweep.title)}",
            alt=f"Attack success rate over {axis}, {sweep.title}. "
            + " ".join(_words(each, sweep.write) for each in sweep.series),
            draw=partial(_draw, sweep, axis, looks),
            panel=True,
        )
        for sweep in sweeps
    )


def _words(series: Series, write: Callable[[float], str]) -> str:
    points = ", ".join(f"{point.asr.value:.2f} at {write(point.x)}" for point in series.points)
    return f"{series.name}: {points}."


def _draw(sweep: Sweep, axis: str, looks: Looks, width: float) -> Figure:
    handles = [_handle(looks.of(each.points[0].row), each.name) for each in sweep.series]
    floors = [each for each in sweep.series if each.points[0].row.defence == GUARDED]
    if floors:
        handles.append(Line2D([], [], color=FLOOR, linestyle=":", label="floor of P2P"))
    counts = counts_of(point.asr.n for each in sweep.series for point in each.points)
    figure, axes = panel(sweep.title, f"{counts} triggered test rows a point", width, handles)
    for each in sweep.series:
        _line(axes, each, looks.of(each.points[0].row))
    for each in floors:
        shares = [(point.x, point.row.floor.value) for point in each.points if point.row.floor]
        axes.plot(
            [x for x, _ in shares], [share for _, share in shares], color=FLOOR, linestyle=":", linewidth=1.2
        )
    _axes(axes, {point.x for each in sweep.series for point in each.points}, sweep.write)
    axes.set_xlabel(axis)
    axes.set_ylabel("attack success rate")
    return figure


def _handle(look: Look, label: str) -> Line2D:
    return Line2D([], [], color=look.colour, marker=look.marker, markersize=6, linewidth=1.4, label=label)


def _line(axes: Axes, series: Series, look: Look) -> None:
    """Draw a line; other defences' are thinner, so that P2P and the undefended model stand out."""
    ours = series.points[0].row.defence in {UNDEFENDED, GUARDED}
    xs = [point.x for point in series.points]
    rates = [point.asr for point in series.points]
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
