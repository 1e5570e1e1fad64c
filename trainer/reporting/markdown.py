"""The report as Markdown: the same sentences and tables, charts as links to their files."""

from collections.abc import Iterable, Sequence

from trainer.reporting.charts.chart import Chart
from trainer.reporting.gaps import gaps
from trainer.reporting.grid import Grid
from trainer.reporting.sections import Section
from trainer.reporting.tables.provenance import provenance_table
from trainer.reporting.tables.table import Cell, Group, Table


def markdown_page(grid: Grid, sections: Sequence[Section]) -> str:
    """Return the report.

    Args:
        grid: What was measured.
        sections: The report's parts.
    """
    suites = sorted({cell.suite for cell in grid.results})
    commands = "\n".join(f"p2p-guard bench --suite {suite}" for suite in suites)
    parts = ["# p2p-guard: measured", f"```\n{commands}\np2p-guard report RESULTS_DIR\n```"]
    for section in sections:
        parts += [f"## {_text(section.title)}", f"**{_text(section.takeaway)}**", _text(section.reading)]
        parts += [_image(chart) for chart in section.charts]
        parts += [block for table in section.tables for block in _table_blocks(table)]
    parts += ["## How it was measured", *_table_blocks(provenance_table(grid))]
    missing = gaps(grid)
    if missing:
        parts += ["### Not measured", "\n".join(f"- {_text(gap)}" for gap in missing)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """Return a table; where it has groups, their titles stand in a first column.

    Args:
        table: The table.
    """
    grouped = any(group.title for group in table.groups)
    heads = (["case"] if grouped else []) + [_text(column) for column in table.columns]
    words = [True] * grouped + [place in table.text_columns for place in range(len(table.columns))]
    rule = ["---" if word else "---:" for word in words]
    lines = [heads, rule, *(line for group in table.groups for line in _lines(group, grouped=grouped))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _lines(group: Group, *, grouped: bool) -> Iterable[list[str]]:
    for place, row in enumerate(group.rows):
        title = (
            f"{_text(group.title)}{f' - *{_text(group.remark)}*' if group.remark else ''}"
            if not place
            else ""
        )
        cells = [_cell(cell) for cell in row.cells]
        if row.kind == "guarded":
            cells[0] = f"**{cells[0]}**"
        yield ([title] if grouped else []) + cells


def _cell(cell: Cell) -> str:
    first = _text(cell.text) + (f" ({_text(cell.detail)})" if cell.detail else "")
    return f"{first}<br>{_text(cell.note)}" if cell.note else first


def _table_blocks(table: Table) -> list[str]:
    if not table.groups:
        return []
    return [f"### {_text(table.title)}", markdown_table(table), *([_text(table.note)] if table.note else [])]


def _image(chart: Chart) -> str:
    words = _text(chart.alt).replace("[", r"\[").replace("]", r"\]")
    return f"![{words}](figures/{chart.name}.svg)"


def _text(text: str) -> str:
    """Keep a name from being read as Markdown's or HTML's own signs."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for sign in "|*_`":
        safe = safe.replace(sign, f"\\{sign}")
    return safe
