import re
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

from p2p_guard_cli.main import app
from tests.trainer.reporting.synthetic import cell, grid_of_cells, write
from trainer.reporting.grid import make_grid
from trainer.reporting.sections import make_sections
from trainer.reporting.write import write_report

EVIL = '<script>alert("x")</script> $a_b$ & co'


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """Return the page of a few cells, one with a name that is out to break it."""
    folder = tmp_path_factory.mktemp("report")
    cells = [
        cell(attack=EVIL),
        cell("p2p", attack=EVIL, asr=(5, 100)),
        cell("onion", attack=EVIL, asr=(40, 100)),
    ]
    write_report([write(cells, folder / "cells")], folder / "out")
    page: str = (folder / "out" / "index.html").read_text(encoding="utf-8")
    return page


class Tags(HTMLParser):
    """Collects ids and open tags, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.open: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_loads_nothing_from_elsewhere(page):
    assert not re.search(r"https?:|//[a-z]|@import|<(script|link|img|iframe)\b", page)


def test_names_are_escaped_in_text_and_in_charts(page):
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


def test_tags_close_and_ids_are_unique(page):
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert len(tags.ids) == len(set(tags.ids)) > 10


def test_each_chart_says_what_it_shows(page):
    figures = re.findall(r"<figure[^>]*>", page)
    assert figures
    assert all('role="img"' in figure and "aria-label=" in figure for figure in figures)


def test_headline_figures_are_the_pooled_ones(page):
    assert "P2P takes attack success from 0.950 to 0.050 with" in page
    assert "5/100, 0.022-0.112" in page


def test_sections_without_data_are_left_out():
    anchors = [section.anchor for section in make_sections(make_grid([cell(), cell("p2p", asr=(5, 100))]))]
    assert "poison-rate" not in anchors
    assert "ablations" not in anchors


def test_a_whole_grid_has_every_section_with_a_sentence():
    sections = make_sections(make_grid(grid_of_cells()))
    assert [section.anchor for section in sections] == [
        *("before-after", "defences", "poison-rate", "trusted-rows", "extension-rate"),
        *("selection", "ablations", "training", "cost", "figures"),
    ]
    assert all(section.takeaway.endswith(".") for section in sections)
    names = [chart.name for section in sections for chart in section.charts]
    assert len(names) == len(set(names))


def test_command_writes_page_markdown_and_figures(tmp_path):
    write([cell(), cell("p2p", asr=(5, 100))], tmp_path / "cells")
    done = CliRunner().invoke(
        app, ["report", str(tmp_path / "cells"), "--output", str(tmp_path / "out"), "--png"]
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "figures" / "asr-before-after.png").read_bytes().startswith(b"\x89PNG")
    linked = set(re.findall(r"\]\((figures/[^)]*)\)", (tmp_path / "out" / "report.md").read_text()))
    assert linked == {f"figures/{path.name}" for path in (tmp_path / "out" / "figures").glob("*.svg")}


def test_command_ends_with_2_and_one_line_when_there_is_nothing_to_report(tmp_path):
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--output", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "error:" in done.output
    assert not (tmp_path / "out").exists()
