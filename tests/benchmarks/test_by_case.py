"""Benchmarks that go case by case: a case that the suite lacks, and figures of cases that are not asked for again."""

from pathlib import Path

import pytest

from benchmarks.by_case import arguments, keep_figures, read_figures, require_cases
from trainer.bench.suite_files import load_suite


def test_a_case_that_the_suite_lacks_is_named(capsys: pytest.CaptureFixture[str]):
    parser = arguments("About.", "full", "Only this one")
    asked = parser.parse_args(["--case", "word-10", "--case", "no-such-case"])
    with pytest.raises(SystemExit):
        require_cases(parser, load_suite(asked.suite), asked.case)
    assert "the suite has no case no-such-case" in capsys.readouterr().err


def test_figures_are_read_by_case(tmp_path: Path):
    path = tmp_path / "figures.json"
    assert read_figures(path) == {}
    keep_figures(path, [{"case": "word", "rows": 2}, {"case": "sentence", "rows": 3}])
    known = read_figures(path)
    keep_figures(path, (known | {"word": {"case": "word", "rows": 4}}).values())
    assert read_figures(path) == {
        "word": {"case": "word", "rows": 4},
        "sentence": {"case": "sentence", "rows": 3},
    }
