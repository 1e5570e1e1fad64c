"""The report as one HTML file that needs nothing else: no network, no script, styles and charts inside."""

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainer.reporting.charts.chart import Chart
from trainer.reporting.charts.style import NARROW, WIDE
from trainer.reporting.gaps import gaps
from trainer.reporting.grid import IMPLANTED, Grid
from trainer.reporting.render import inline
from trainer.reporting.sections import Section
from trainer.reporting.summary import Summary, summarise
from trainer.reporting.tables.provenance import provenance_table


def html_page(grid: Grid, sections: Sequence[Section]) -> str:
    """Return the page.

    Args:
        grid: What was measured.
        sections: The report's parts.
    """
    environment = Environment(
        loader=PackageLoader("trainer.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["wide"] = _wide
    environment.filters["narrow"] = _narrow
    loader = PackageLoader("trainer.reporting")
    style, _, _ = loader.get_source(environment, "style.css")
    return environment.get_template(
        "report.html.j2"
    ).render(
        style=Markup(style),  # noqa: S704 - our own file
        sections=sections,
        tiles=[_tile(summary) for summary in summarise(grid)],
        counted=len(grid.counted),
        attacked=len(grid.attacked),
        excluded=[case for case in grid.attacked if not case.counted],
        cells=len(grid.results),
        datasets=sorted({case.key.dataset for case in grid.cases}),
        seeds=sorted({cell.case.seed for cell in grid.results}),
        dates=sorted(cell.finished[:10] for cell in grid.results if cell.finished),
        suites=sorted({cell.suite for cell in grid.results}),
        implanted=IMPLANTED,
        provenance=provenance_table(grid),
        gaps=gaps(grid),
    )


def _wide(chart: Chart) -> Markup:
    width = NARROW if chart.panel else WIDE
    return Markup(inline(chart, width, f"{chart.name}-w"))  # noqa: S704 - matplotlib escapes names in SVG


def _narrow(chart: Chart) -> Markup:
    return Markup(inline(chart, NARROW, f"{chart.name}-n"))  # noqa: S704 - matplotlib escapes names in SVG


def _tile(summary: Summary) -> dict[str, object]:
    return {
        "settings": summary.settings or "P2P",
        "cases": len(summary.pairs),
        "asr_before": summary.asr_before,
        "asr_after": summary.asr_after,
        "floor": summary.floor,
        "ca_before": summary.ca_before,
        "ca_after": summary.ca_after,
    }
