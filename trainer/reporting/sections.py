"""The report's parts in reading order; the page and the Markdown are made from these alike."""

from typing import NamedTuple

from trainer.reporting.charts import before_after, cost, curves, extension, scatter, sweep
from trainer.reporting.charts.chart import Chart
from trainer.reporting.charts.style import Looks
from trainer.reporting.costs import costs
from trainer.reporting.grid import Grid
from trainer.reporting.names import GUARDED, UNDEFENDED, UNGUARDED, defence_name
from trainer.reporting.rivals import ahead
from trainer.reporting.rivals import takeaway as rivals_takeaway
from trainer.reporting.selected import takeaway as selection_takeaway
from trainer.reporting.summary import summarise
from trainer.reporting.sweeps import poison_rate_sweeps, trusted_rows_sweeps
from trainer.reporting.sweeps import takeaway as sweeps_takeaway
from trainer.reporting.tables.ablations import ablations_table
from trainer.reporting.tables.ablations import takeaway as ablations_takeaway
from trainer.reporting.tables.cases import cases_tables
from trainer.reporting.tables.cost import cost_table
from trainer.reporting.tables.headline import headline_table
from trainer.reporting.tables.overview import overview_table
from trainer.reporting.tables.rivals import rivals_table
from trainer.reporting.tables.selection import selection_table
from trainer.reporting.tables.sweeps import sweeps_table
from trainer.reporting.tables.table import Table


class Section(NamedTuple):
    """One part of the report.

    Attributes:
        anchor: Its id in the page.
        title: Its heading.
        takeaway: The sentence that its data shows.
        reading: How to read it.
        charts: Its charts.
        tables: Its tables.
    """

    anchor: str
    title: str
    takeaway: str
    reading: str
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


def make_sections(grid: Grid) -> tuple[Section, ...]:
    """Return every part that the results have data for.

    Args:
        grid: What was measured.
    """
    ours = {UNDEFENDED, GUARDED, UNGUARDED}
    others = {row.defence for case in grid.cases for row in case.rows} - ours
    looks = Looks(tuple(sorted(others)))
    parts = (
        _before_after(grid, looks),
        _scatter(grid, looks),
        _poison_rate(grid, looks),
        _trusted_rows(grid, looks),
        _extension(grid, looks),
        _selection(grid),
        _ablations(grid),
        _curves(grid, looks),
        _cost(grid),
        _figures(grid),
    )
    return tuple(part for part in parts if part.charts or any(table.groups for table in part.tables))


def _before_after(grid: Grid, looks: Looks) -> Section:
    summaries = summarise(grid)
    overview = (overview_table(summaries),) if summaries else ()
    return Section(
        "before-after",
        "Attack success before and after",
        before_after.takeaway(summaries),
        "Each line is one case and one way of choosing rows. The undefended model was trained in the same way on the same poisoned rows. The "
        "closer the guarded marker is to the floor, the less of the attack is left. Hollow cases do not count, since there the "
        "attack was not implanted in the undefended model either.",
        before_after.before_after_charts(grid, looks),
        (*overview, headline_table(grid)),
    )


def _scatter(grid: Grid, looks: Looks) -> Section:
    found = ahead(grid)
    return Section(
        "defences",
        "P2P against other defences",
        rivals_takeaway(grid),
        "One chart a case, hollow where the case does not count. Up is more accurate on clean inputs, left is less of the attack; the upper left corner is ideal. "
        "Thin lines are 95 % intervals in both directions.",
        scatter.scatter_charts(grid, looks),
        (rivals_table(found),) if found else (),
    )


def _poison_rate(grid: Grid, looks: Looks) -> Section:
    sweeps = poison_rate_sweeps(grid)
    return Section(
        "poison-rate",
        "How much poison",
        sweeps_takeaway(sweeps, "poison"),
        "The same data set and attack with more and more poisoned rows. Vertical bars are 95 % intervals.",
        sweep.sweep_charts(sweeps, "poison-rate", "poisoned share of the training rows", looks),
        (sweeps_table("By poison rate", "poisoned share", sweeps),),
    )


def _trusted_rows(grid: Grid, looks: Looks) -> Section:
    sweeps = trusted_rows_sweeps(grid)
    return Section(
        "trusted-rows",
        "How many trusted rows",
        sweeps_takeaway(sweeps, "trusted rows"),
        "Trusted rows are rows that the defender knows to be clean. Vertical bars are 95 % intervals.",
        sweep.sweep_charts(sweeps, "trusted-rows", "trusted rows", looks),
        (sweeps_table("By number of trusted rows", "trusted rows", sweeps),),
    )


def _extension(grid: Grid, looks: Looks) -> Section:
    return Section(
        "extension-rate",
        "Extension rate",
        extension.takeaway(grid),
        "The guard reads answers from the extended half, which the attacker's trigger was never tied to. The model is asked triggered rows "
        "and left free to answer; the nearer to 1 with the guard's stamp, the less the guard has to force. The same adapter without "
        "the stamp should answer in the original half, near 0.",
        extension.extension_charts(grid, looks),
    )


def _selection(grid: Grid) -> Section:
    return Section(
        "selection",
        "Which rows were re-poisoned",
        selection_takeaway(grid),
        "P2P copies some rows with its own trigger and the extended answer. Poisoned rows among these copies teach the backdoor to "
        "both halves, so they must be kept out without knowing which they are.",
        tables=(selection_table(grid),),
    )


def _ablations(grid: Grid) -> Section:
    return Section(
        "ablations",
        "What each part is worth",
        ablations_takeaway(grid),
        "One part of a defence changed or left out, everything else the same.",
        tables=(ablations_table(grid),),
    )


def _curves(grid: Grid, looks: Looks) -> Section:
    return Section(
        "training",
        "Training",
        curves.takeaway(grid),
        "Mean loss of the target tokens over the tokens seen so far, one line a seed.",
        curves.curve_charts(grid, looks),
    )


def _cost(grid: Grid) -> Section:
    entries = costs(grid)
    guarded = [entry.name for entry in entries if entry.name.startswith(defence_name(GUARDED))]
    return Section(
        "cost",
        "Cost",
        cost.takeaway(entries, guarded),
        "Time includes choosing the rows. Extra prompt tokens are added to every request at serving time.",
        cost.cost_charts(entries),
        (cost_table(entries),),
    )


def _figures(grid: Grid) -> Section:
    return Section(
        "figures",
        "Every figure",
        f"{len(grid.results) - len(grid.superseded)} cells in {len(grid.cases)} cases; {len(grid.counted)} of the {len(grid.attacked)} "
        "attacked cases count.",
        "Blue lines are P2P guarded, the orange edge marks the undefended model, the black edge a model trained without poison.",
        tables=cases_tables(grid),
    )
