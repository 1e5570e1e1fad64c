"""The report as one HTML file that needs nothing else: no network, no script, styles and charts inside."""

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainer.reporting.gaps import gaps
from trainer.reporting.grid import IMPLANTED, Grid, Standing
from trainer.reporting.names import case_name, dataset_name
from trainer.reporting.render import Drawn, inline
from trainer.reporting.sections import Section
from trainer.reporting.summary import Summary, summarise
from trainer.reporting.tables.provenance import provenance_table


def html_page(grid: Grid, sections: Sequence[Section], drawn: Mapping[str, Drawn]) -> str:
    """Return the page.

    Args:
        grid: What was measured.
        sections: The report's parts.
        drawn: Their charts, by name.
    """
    loader = PackageLoader("trainer.reporting")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["wide"] = _wide
    environment.filters["narrow"] = _narrow
    style, _, _ = loader.get_source(environment, "style.css")
    template = environment.get_template("report.html.j2")
    return template.render(
        style=Markup(style),  # noqa: S704 - our own file
        sections=sections,
        drawn=drawn,
        tiles=[_tile(summary) for summary in summarise(grid)],
        counted=len(grid.counted),
        attacked=len(grid.attacked),
        weak=sum(case.standing is Standing.NOT_IMPLANTED for case in grid.attacked),
        unknown=sum(case.standing is Standing.NO_UNDEFENDED for case in grid.attacked),
        cells=len(grid.results),
        datasets=sorted({dataset_name(case.key.dataset) for case in grid.cases}),
        seeds=sorted({cell.case.seed for cell in grid.results}),
        dates=sorted(cell.finished[:10] for cell in grid.results if cell.finished),
        suites=sorted({cell.suite for cell in grid.results}),
        implanted=IMPLANTED,
        provenance=provenance_table(grid),
        gaps=gaps(grid),
    )


def _wide(drawn: Drawn) -> Markup:
    return Markup(inline(drawn.wide, f"{drawn.chart.name}-w"))  # noqa: S704 - matplotlib escapes names in SVG


def _narrow(drawn: Drawn) -> Markup:
    return Markup(inline(drawn.narrow or drawn.wide, f"{drawn.chart.name}-n"))  # noqa: S704 - the same


def _tile(summary: Summary) -> dict[str, object]:
    worst = summary.worst
    return {
        "worst": f"{worst.above_floor.value:+.3f}" if worst and worst.above_floor else "",
        "worst_case": case_name(worst.case.key) if worst else "",
        "settings": summary.settings or "P2P",
        "cases": len(summary.pairs),
        "asr_before": summary.asr_before,
        "asr_after": summary.asr_after,
        "floor": summary.floor,
        "accuracy": "clean accuracy" if summary.of_accuracy else "free of the attacker's answer",
        "quality": summary.quality,
        "ca_before": summary.ca_before,
        "ca_after": summary.ca_after,
    }
