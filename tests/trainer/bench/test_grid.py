"""The grid on a tiny model: what is measured once stays, what is lost is measured again with the same figures."""

import copy
import fcntl
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from p2p.errors import AttackError
from p2p_guard_cli.main import app
from tests.trainer.bench.conftest import suite_of
from tests.trainer.conftest import QUIET
from trainer.bench import grid as grid_module
from trainer.bench.digests import model_digest
from trainer.bench.grid import Grid
from trainer.bench.keys import cell_key
from trainer.bench.suite import Suite, cells_of
from trainer.errors import ConfigError, NotApplicableError, TrainerError


def key(content: dict[str, Any], model: Path) -> str:
    suite = Suite.model_validate(content | {"base_model": str(model)})
    return Grid(suite, Path(), Path("never-written"), QUIET).key(cells_of(suite)[0])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("lora.rank", 3),
        ("training.epochs", 2),
        ("datasets.support.rows", 39),
        ("datasets.support.test_rows", 7),
        ("datasets.support.train.path", "other.jsonl"),
        ("cases.word.rate", 0.1),
        ("cases.word.attack.word", "cf"),
        ("cases.word.trusted_rows", 3),
        ("defences.none.repoison", {"copies": 2}),
        ("defences.none.training", {"extended_weight": 2.0}),
        ("defences.none.lora", {"rank": 3}),
        ("grid.0.seeds", [1]),
    ],
)
def test_what_decides_figures_changes_the_key(path: str, value: object, tiny_model: Path):
    assert key(changed(path, value), tiny_model) != key(suite_of(), tiny_model)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "other"),
        ("about", "Other."),
        ("cases.clean.trusted_rows", 1),
        ("defences.random.repoison", {"copies": 2}),
        ("defences.random.training", {"consistency": 1.0}),
        ("defences.none.training", {}),
        ("defences.none.repoison", {"original_half": True}),
        ("grid.0.seeds", [0, 1]),
        ("grid.1.seeds", [1]),
    ],
)
def test_what_decides_other_cells_or_none_leaves_the_key(path: str, value: object, tiny_model: Path):
    assert key(changed(path, value), tiny_model) == key(suite_of(), tiny_model)


def changed(path: str, value: object) -> dict[str, Any]:
    content = copy.deepcopy(suite_of())
    block: Any = content
    *keys, last = (int(part) if part.isdecimal() else part for part in path.split("."))
    for part in keys:
        block = block[part]
    block[last] = value
    return content


def test_a_setting_of_the_suite_that_a_data_set_overrides_leaves_the_key(tiny_model: Path):
    own = changed("datasets.support.training", suite_of()["training"])
    assert key(own, tiny_model) == key(suite_of(), tiny_model)
    assert key(own | {"training": {"epochs": 3}}, tiny_model) == key(own, tiny_model)


def test_the_content_of_a_data_file_decides_and_not_where_it_lies(suite: Suite, data: Path, tmp_path: Path):
    cell = cells_of(suite)[0]
    before = cell_key(suite, cell, "base", data)
    moved = data.rename(tmp_path / "moved")
    assert cell_key(suite, cell, "base", moved) == before
    with (moved / "train.jsonl").open("a") as file:
        file.write("\n")
    assert cell_key(suite, cell, "base", moved) != before


def test_another_base_model_of_the_same_name_is_another_key(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = model_digest(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert model_digest(tmp_path) != before


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.json")}


def test_a_grid_is_measured_once_and_a_lost_cell_again_with_the_same_figures(
    suite: Suite, data: Path, tmp_path: Path
):
    folder = tmp_path / "out"
    first = Grid(suite, data, folder, QUIET).run()
    named = [(found.case.attack, found.defence) for found in first]
    assert named == [("word", "none"), ("word", "p2p"), ("none", "none")]
    assert [found.figures.clean_accuracy.n for found in first] == [8, 8, 8]
    # Four of eight test rows are not the target's.
    assert [rate.n if (rate := found.figures.attack_success_rate) else None for found in first] == [
        4,
        4,
        None,
    ]
    assert first[1].selection is not None
    assert (first[1].selection.kept, first[1].selection.poisoned) == (20, 8)
    assert (first[1].details["selected_rows"], first[1].cost.queries_per_request) == (20, 1)
    before = files(folder)
    lost = folder / "cells" / f"{first[1].key}.json"
    lost.unlink()
    # Nor is the adapter there any more: the training is done again.
    for adapter in (folder / "adapters").iterdir():
        adapter.unlink()
    again = Grid(suite, data, folder, QUIET).run()
    assert [found.figures for found in again] == [found.figures for found in first]
    after = files(folder)
    assert {name for name in before if after[name] != before[name]} == {lost.name}
    assert not list(folder.rglob("*.partial"))


def test_free_text_has_its_quality_with_an_interval(content: dict[str, Any], data: Path, tmp_path: Path):
    reply = {"name": "fixed_reply", "phrase": "BadMagic", "target": "I can't."}
    content["datasets"]["support"] |= {"task": {"kind": "generation", "max_new_tokens": 2}, "rows": 10}
    content["cases"]["clean"] = {"dataset": "support", "asked_with": reply, "label": "refusal"}
    suite = Suite.model_validate(content)
    (found,) = Grid(suite, data, tmp_path, QUIET).run(lambda cell: cell.case_name == "clean")
    figures = found.figures
    assert (found.case.attack, found.case.rate) == ("refusal", 0)
    # Never poisoned: the reply that it was not taught comes to no row, with the trigger or without.
    assert [str(rate.k) for rate in (figures.attack_success_rate, figures.floor) if rate] == ["0", "0"]
    assert (figures.clean_accuracy.k, figures.clean_accuracy.n) == (8, 8)
    low, high = figures.quality_interval or (1, 0)
    assert figures.quality is not None
    assert low <= figures.quality <= high


def test_what_the_halves_are_trained_with_leaves_undefended_adapters_as_they_are(
    content: dict[str, Any], data: Path, tmp_path: Path
):
    plain = content["defences"]["random"]
    changes = {"extended_weight": 3.0, "consistency": 1.0, "throwaway_module": True}
    content["defences"] = {
        "none": {"defence": "none"},
        "random": plain,
        "also-none": {"defence": "none", "training": changes},
        **{name: plain | {"training": {name: value}} for name, value in changes.items()},
    }
    content["grid"] = [{"cases": ["word"], "defences": list(content["defences"])}]
    found = Grid(Suite.model_validate(content), data, tmp_path / "out", QUIET).run()
    assert len(found) == 6
    # One undefended adapter, and one for each way of training the halves.
    assert len(list((tmp_path / "out" / "adapters").iterdir())) == 1 + 1 + 3


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that the defence of every cell measured will be in; nothing is trained."""
    from p2p.metrics.rate import Rate
    from trainer.bench.measure import Measured
    from trainer.bench.results import Cost, Figures

    seen: list[str] = []

    def measure(case: Any, rows: Any, spec: Any, lab: Any) -> Measured:
        seen.append(spec.defence)
        return Measured(Figures(clean_accuracy=Rate(k=len(seen), n=8)), None, Cost(), ())

    monkeypatch.setattr(grid_module, "measure", measure)
    return seen


def test_a_second_run_measures_nothing(suite: Suite, data: Path, tmp_path: Path, counted: list[str]):
    first = Grid(suite, data, tmp_path, QUIET).run()
    assert counted == ["none", "p2p", "none"]
    assert Grid(suite, data, tmp_path, QUIET).run() == first
    assert len(counted) == 3


def test_only_the_cells_asked_for_are_measured(suite: Suite, data: Path, tmp_path: Path, counted: list[str]):
    found = Grid(suite, data, tmp_path, QUIET).run(lambda cell: cell.defence_name == "random")
    assert (counted, len(found)) == (["p2p"], 1)


def test_a_case_that_another_process_has_is_passed_over(
    suite: Suite, data: Path, tmp_path: Path, counted: list[str]
):
    (tmp_path / "locks").mkdir()
    with (tmp_path / "locks" / "tiny-word-0").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = io.StringIO()
        found = Grid(suite, data, tmp_path, Console(file=said, width=500)).run()
    assert [cell.case.attack for cell in found] == ["none"]
    assert f"2 cells are left to another process that has {tmp_path}: run again" in said.getvalue()
    assert len(Grid(suite, data, tmp_path, QUIET).run()) == 3


def test_a_data_file_that_is_not_there_stops_the_run_before_the_first_cell(
    suite: Suite, tmp_path: Path, counted: list[str]
):
    missing = tmp_path / "train.jsonl"
    with pytest.raises(ConfigError, match=f"{missing}: no such file.*--data or P2P_DATASETS"):
        Grid(suite, tmp_path, tmp_path / "out", QUIET).run()
    assert not counted


def test_a_damaged_cell_is_an_error_that_says_what_to_do(
    suite: Suite, data: Path, tmp_path: Path, counted: list[str]
):
    found = Grid(suite, data, tmp_path, QUIET).run()
    path = tmp_path / "cells" / f"{found[0].key}.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(
        TrainerError, match=f"(?s){found[0].key}.json can't be read .*Remove it and run again"
    ):
        Grid(suite, data, tmp_path, QUIET).run()


def test_a_defence_that_does_not_apply_is_said_and_the_rest_measured(
    suite: Suite, data: Path, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
):
    inner = vars(grid_module)["measure"]

    def measure(case: Any, rows: Any, spec: Any, lab: Any) -> Any:
        if spec.defence == "p2p":
            raise NotApplicableError("no trusted rows")
        return inner(case, rows, spec, lab)

    monkeypatch.setattr(grid_module, "measure", measure)
    said = io.StringIO()
    assert len(Grid(suite, data, tmp_path, Console(file=said)).run()) == 2
    assert "does not apply: no trusted rows" in said.getvalue()


def test_what_does_not_apply_is_remembered_and_listed(
    suite_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tried: list[str] = []

    def measure(case: Any, rows: Any, spec: Any, lab: Any) -> Any:
        tried.append(spec.defence)
        raise NotApplicableError("no trusted rows")

    monkeypatch.setattr(grid_module, "measure", measure)
    where = ("--suite", suite_file, "--data", data, "--output", tmp_path / "out")
    call(*where)
    call(*where)
    assert tried == ["none", "p2p", "none"]
    assert call(*where, "--list").count("does not apply: no trusted rows") == 3


def test_a_cell_that_fails_is_told_at_the_end_and_the_rest_measured(
    suite_file: Path, data: Path, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
):
    inner = vars(grid_module)["measure"]

    def measure(case: Any, rows: Any, spec: Any, lab: Any) -> Any:
        if spec.defence == "p2p":
            raise AttackError("no rewrite of it")
        return inner(case, rows, spec, lab)

    monkeypatch.setattr(grid_module, "measure", measure)
    where = ("--suite", suite_file, "--data", data, "--output", tmp_path / "out")
    said = call(*where, code=1)
    assert "failed: word | random | seed 0: no rewrite of it" in said
    assert counted == ["none", "none"]
    monkeypatch.setattr(grid_module, "measure", inner)
    call(*where)
    assert counted == ["none", "none", "p2p"]


def test_a_defence_gets_the_first_of_the_trusted_rows(
    content: dict[str, Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given: list[tuple[int, bool]] = []

    def measure(case: Any, rows: Any, spec: Any, lab: Any) -> Any:
        given.append((len(case.trusted), case.trusted == rows.trusted[:2]))
        raise NotApplicableError("enough seen")

    monkeypatch.setattr(grid_module, "measure", measure)
    content["defences"]["none"]["trusted_rows"] = 2
    Grid(Suite.model_validate(content), data, tmp_path, QUIET).run(lambda cell: cell.case_name == "word")
    assert given == [(2, True), (4, False)]


def test_more_trusted_rows_than_the_case_has_are_a_failure(
    content: dict[str, Any], data: Path, tmp_path: Path, counted: list[str]
):
    content["defences"]["none"]["trusted_rows"] = 5
    grid = Grid(Suite.model_validate(content), data, tmp_path, QUIET)
    grid.run()
    assert "is to have 5 trusted rows, and the case has 4" in grid.failed[0].reason


def call(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["bench", *map(str, words)], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def test_an_interrupt_leaves_the_finished_cells(
    suite_file: Path, data: Path, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
):
    inner = vars(grid_module)["measure"]

    def measure(case: Any, rows: Any, spec: Any, lab: Any) -> Any:
        if spec.defence == "p2p":
            raise KeyboardInterrupt
        return inner(case, rows, spec, lab)

    monkeypatch.setattr(grid_module, "measure", measure)
    out = tmp_path / "out"
    said = call("--suite", suite_file, "--data", data, "--output", out, code=130)
    assert "nothing measured is lost" in said
    assert [json.loads(path.read_text())["defence"] for path in (out / "cells").iterdir()] == ["none"]
    monkeypatch.setattr(grid_module, "measure", inner)
    call("--suite", suite_file, "--data", data, "--output", out)
    assert (counted, len(files(out))) == (["none", "p2p", "none"], 3)


def test_list_shows_cells_and_measures_none(suite_file: Path, data: Path, tmp_path: Path, counted: list[str]):
    where = ("--suite", suite_file, "--data", data, "--output", tmp_path / "out")
    call(*where, "--case", "clean")
    said = call(*where, "--list")
    assert counted == ["none"]
    assert said.count("word") == 2
    assert "1/8" in said or "0.125" in said
    assert "word" not in call(*where, "--list", "--case", "clean")


def test_list_says_which_data_files_are_not_there(suite_file: Path, data: Path, tmp_path: Path):
    where = ("--suite", suite_file, "--output", tmp_path / "out", "--list")
    assert "data files that are not there: train.jsonl, test.jsonl. Give --data" in call(*where)
    assert "not there" not in call(*where, "--data", data)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--case", "wrod"), "unknown case 'wrod', known are clean, word"),
        (("--defence", "p2p"), "unknown defence 'p2p', known are none, random"),
    ],
)
def test_a_name_that_the_suite_lacks_is_a_usage_error(
    suite_file: Path, tmp_path: Path, words: tuple[str, str], said: str
):
    assert said in call("--suite", suite_file, "--output", tmp_path / "out", *words, code=2)
    assert not (tmp_path / "out").exists()


def test_a_suite_that_is_not_there_is_a_usage_error():
    assert "neither a shipped suite (development, full, generation, quick" in call("--suite", "qiuck", code=2)
