"""Write the README's tables, ``docs/results.svg``, ``docs/results.md`` and ``docs/other-defences.md`` from the cells in ``benchmarks/results``.

.venv/bin/python scripts/write_results.py
"""

from pathlib import Path

from trainer.reporting.charts.before_after import before_after_charts, takeaway
from trainer.reporting.charts.style import Looks
from trainer.reporting.grid import Grid, make_grid
from trainer.reporting.load import load_all
from trainer.reporting.markdown import markdown_page, markdown_table
from trainer.reporting.render import draw
from trainer.reporting.rivals import takeaway as compared
from trainer.reporting.sections import make_sections
from trainer.reporting.summary import summarise
from trainer.reporting.tables.headline import headline_table
from trainer.reporting.tables.others import others_table
from trainer.reporting.tables.overview import overview_table
from trainer.reporting.tables.table import Table, without

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
FIGURE = ROOT / "docs" / "results.svg"
EVERYTHING = ROOT / "docs" / "results.md"
OTHERS = ROOT / "docs" / "other-defences.md"
BEGIN, END = "<!-- results: scripts/write_results.py -->", "<!-- end of results -->"
_OTHERS_INTRODUCTION = (
    "Made by `p2p-guard bench --suite standard` and `scripts/write_results.py`: the same rows, base model and number of epochs. What each "
    "defence is and where it comes from stands in `trainer/defences`, one file each."
)
_LEFT_OUT = frozenset(
    {
        "ASR - floor",
        "ASR without the guard",
        "lowest ASR of another defence",
        "CA never poisoned",
        "ROUGE-L undefended",
        "ROUGE-L guarded",
        "CA change",
    }
)
_NAMED_FIRST = 2
"""The ways of choosing rows that the first sentence names: those with most cases."""


def measured() -> Grid:
    """Return every cell that was measured, of all suites but the one that defaults are chosen by."""
    suites = sorted(path.parent for path in RESULTS.glob("*/cells") if path.parent.name != "development")
    return make_grid(load_all(suites))


def block(grid: Grid) -> str:
    """Return what stands between the README's markers."""
    seeds = sorted({cell.case.seed for cell in grid.results})
    summaries = summarise(grid)
    return "\n\n".join(
        [
            f"**{takeaway(summaries[:_NAMED_FIRST])}** {len(grid.results)} cells, seeds {seeds[0]}-{seeds[-1]}.",
            markdown_table(without(overview_table(summaries), _LEFT_OUT)),
            "![Attack success before and after, by case](docs/results.svg)",
            "<details><summary>Case by case</summary>",
            markdown_table(without(counted(headline_table(grid)), _LEFT_OUT)),
            "</details>",
        ]
    )


def everything(grid: Grid) -> str:
    """Return the page of every table that `p2p-guard report` makes; its charts stand in a report alone."""
    return markdown_page(
        grid, [section._replace(charts=()) for section in make_sections(grid) if section.tables]
    )


def others(grid: Grid) -> str:
    """Return the page that has P2P beside the other defences."""
    table = others_table(grid)
    return "\n\n".join(
        [
            "# P2P beside other defences",
            f"{_OTHERS_INTRODUCTION} {table.note}",
            f"**{compared(grid)}**",
            markdown_table(table) + "\n",
        ]
    )


def figure(grid: Grid) -> str:
    """Return the picture of every case, in one part: a screen has no page."""
    (chart,) = before_after_charts(grid, Looks(()), most=len(grid.attacked))
    return draw(chart).wide


def counted(table: Table) -> Table:
    """Return a table without the cases that have a remark: no claim rests on them."""
    return table._replace(groups=tuple(group for group in table.groups if not group.remark))


def filled(readme: str, content: str) -> str:
    """Return the README with the content between its markers.

    Raises:
        ValueError: A marker is missing.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md lacks {BEGIN!r} or {END!r}")
    return f"{head}{begin}\n\n{content}\n\n{end}{tail}"


def main() -> None:
    """Write all of them."""
    grid = measured()
    README.write_text(filled(README.read_text(encoding="utf-8"), block(grid)), encoding="utf-8")
    FIGURE.write_text(figure(grid), encoding="utf-8")
    EVERYTHING.write_text(everything(grid), encoding="utf-8")
    OTHERS.write_text(others(grid), encoding="utf-8")
    print(README, FIGURE, EVERYTHING, OTHERS, sep="\n")


if __name__ == "__main__":
    main()
