from pathlib import Path

import pytest

from benchmarks.documents import write_section


def test_what_stands_between_the_markers_is_replaced(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n")
    write_section(page, "x", "new")
    assert page.read_text() == "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n"


def test_a_page_without_the_markers_is_an_error(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("a\n")
    with pytest.raises(ValueError, match="no markers for x"):
        write_section(page, "x", "new")
