import json

import pytest

from tests.trainer.reporting.synthetic import cell, write
from trainer.errors import ReportError
from trainer.reporting.load import load_all, load_results


def test_cells_come_back_as_they_were_written(tmp_path):
    cells = [cell(), cell("p2p")]
    assert sorted(load_results(write(cells, tmp_path)), key=str) == sorted(cells, key=str)


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(ReportError, match="nowhere: no such directory"):
        load_results(tmp_path / "nowhere")


def test_a_directory_without_results_says_what_to_run(tmp_path):
    with pytest.raises(ReportError, match="no results .* run `p2p-guard bench` first"):
        load_results(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 1, "key": "x"}'])
def test_an_unreadable_file_is_named(tmp_path, content):
    write([cell()], tmp_path)
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(ReportError, match="broken.json"):
        load_results(tmp_path)


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "broken.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReportError, match="broken.json"):
        load_results(tmp_path)


def test_mixed_schema_versions_are_counted_and_the_odd_file_named(tmp_path):
    write([cell(), cell("p2p")], tmp_path)
    newer = json.loads(cell("onion").model_dump_json()) | {"schema_version": 2}
    (tmp_path / "newer.json").write_text(json.dumps(newer))
    with pytest.raises(ReportError, match=r"1 \(2 files\), 2 \(1 files\).*newer.json"):
        load_results(tmp_path)


def test_one_cell_in_two_files_is_refused(tmp_path):
    write([cell()], tmp_path)
    (tmp_path / "copy.json").write_text(cell().model_dump_json())
    with pytest.raises(ReportError, match="holds the same cell"):
        load_results(tmp_path)


def test_the_directory_above_the_cells_will_do(tmp_path):
    write([cell()], tmp_path / "cells")
    (tmp_path / "plan.json").write_text("{}")
    assert load_results(tmp_path) == (cell(),)


def test_a_cell_that_several_directories_have_counts_once(tmp_path):
    first, second = write([cell()], tmp_path / "a"), write([cell(), cell("p2p")], tmp_path / "b")
    assert sorted(load_all([first, second]), key=str) == sorted([cell(), cell("p2p")], key=str)
