"""Writing the whole report into a directory."""

from collections.abc import Sequence
from pathlib import Path

from trainer.reporting.grid import make_grid
from trainer.reporting.load import load_all
from trainer.reporting.markdown import markdown_page
from trainer.reporting.page import html_page
from trainer.reporting.render import as_png, draw
from trainer.reporting.sections import make_sections


def write_report(results: Sequence[Path], output: Path, *, png: bool = False) -> list[Path]:
    """Read results and write ``index.html``, ``report.md`` and ``figures/``; files of an earlier report are replaced.

    Args:
        results: The directories with the cells, at least one.
        output: Where the report goes.
        png: Whether each figure is written as PNG, too.

    Returns:
        Every file that was written, the page first.

    Raises:
        ReportError: The results can't be read; see :func:`trainer.reporting.load.load_all`.
    """
    grid = make_grid(load_all(results))
    sections = make_sections(grid)
    drawn = {chart.name: draw(chart) for section in sections for chart in section.charts}
    files: dict[Path, bytes] = {
        output / "index.html": html_page(grid, sections, drawn).encode(),
        output / "report.md": markdown_page(grid, sections).encode(),
    }
    for name, each in drawn.items():
        files[output / "figures" / f"{name}.svg"] = each.wide.encode()
        if png:
            files[output / "figures" / f"{name}.png"] = as_png(each.chart)
    for path, content in files.items():
        _write(path, content)
    return list(files)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
