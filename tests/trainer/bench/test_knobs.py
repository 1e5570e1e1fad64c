"""Each ablation of the method is a few lines of a suite: they change figures' keys, and leave those of all other cells."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.trainer.bench.conftest import suite_of
from tests.trainer.conftest import QUIET
from trainer.bench.grid import Grid
from trainer.bench.suite import Suite, cells_of

RANDOM = {"defence": "p2p", "selection": {"method": "random", "rho": 0.5}, "repoison": {"copies": 1}}
DEFENCES = """
words-2: {parameters: {words: 2}}
words-12: {parameters: {words: 12}}
after: {parameters: {position: after}}
triggers-4: {parameters: {triggers: 4}}
free: {parameters: {view: free}}
keep: {parameters: {seen_trigger: keep}}
drop: {parameters: {seen_trigger: drop}}
rho-0.2: {selection: {method: random, rho: 0.2}}
rho-0.4: {selection: {method: random, rho: 0.4}}
copies-3: {repoison: {copies: 3}}
"""


def suite_with(defences: dict[str, Any], model: Path, **case: Any) -> Suite:
    content = copy.deepcopy(suite_of(model))
    content["cases"]["word"] |= case
    content["defences"] = {"base": RANDOM} | {name: RANDOM | own for name, own in defences.items()}
    content["grid"] = [{"cases": ["word"], "defences": ["base", *defences]}]
    return Suite.model_validate(content)


def keys(suite: Suite) -> list[str]:
    grid = Grid(suite, Path(), Path("never-written"), QUIET)
    return [grid.key(cell) for cell in cells_of(suite)]


def test_every_knob_makes_a_cell_of_its_own(tiny_model: Path):
    found = keys(suite_with(yaml.safe_load(DEFENCES), tiny_model))
    assert len(set(found)) == 11


@pytest.mark.parametrize(
    ("block", "new"),
    [
        ("case", {"attacker_knows": None}),
        ("task", {"extended_words": "found"}),
    ],
)
def test_a_new_setting_at_its_default_leaves_the_key(block: str, new: dict[str, Any], tiny_model: Path):
    before = keys(suite_with({}, tiny_model))
    content = suite_with({}, tiny_model).model_dump(mode="json")
    place = {"case": content["cases"]["word"], "task": content["datasets"]["support"]["task"]}
    place[block].update(new)
    assert keys(Suite.model_validate(content)) == before


@pytest.mark.parametrize("knows", ["trigger", "trigger_and_words"])
def test_what_the_attacker_knows_makes_another_case(knows: str, tiny_model: Path):
    assert keys(suite_with({}, tiny_model, attacker_knows=knows)) != keys(suite_with({}, tiny_model))


def test_rho_and_repetition_are_swept(tiny_model: Path, data: Path, tmp_path: Path):
    swept = {
        f"{rho}-{copies}": {
            "selection": {"method": "random", "rho": rho},
            "repoison": {"copies": copies, "foreign_text": 0, "link_breaking": 0},
        }
        for rho, copies in ((0.25, 1), (0.25, 3), (0.75, 1))
    }
    suite = suite_with({"none": {"defence": "none"}} | swept, tiny_model)
    plain, *found = Grid(suite, data, tmp_path, QUIET).run(lambda cell: cell.defence_name != "base")
    assert [result.selection.kept for result in found] == [10, 10, 30]
    once, thrice, _ = (result.cost.tokens - plain.cost.tokens for result in found)
    # Copies into which nothing is put are equal, one as long as the other.
    assert thrice == 3 * once > 0


def test_all_knobs_are_measured_against_an_attacker_who_knows(tiny_model: Path, data: Path, tmp_path: Path):
    suite = suite_with(yaml.safe_load(DEFENCES), tiny_model, attacker_knows="trigger_and_words")
    found = Grid(suite, data, tmp_path, QUIET).run()
    assert len(found) == 11
    assert all(result.figures.attack_success_rate.n == 4 for result in found)
    extra = {name: result.cost.extra_prompt_tokens for name, result in zip(names(suite), found, strict=True)}
    # One token a byte: two words are the shortest stamp and twelve the longest.
    assert min(extra, key=extra.__getitem__) == "words-2"
    assert max(extra, key=extra.__getitem__) == "words-12"
    kept = {name: result.selection.poisoned for name, result in zip(names(suite), found, strict=True)}
    assert set(kept.values()) == {8}


def names(suite: Suite) -> list[str]:
    return [cell.defence_name for cell in cells_of(suite)]


def test_drawn_words_are_a_data_sets_own(tiny_model: Path, data: Path, tmp_path: Path):
    content = suite_with({}, tiny_model).model_dump(mode="json")
    content["datasets"]["support"]["task"]["extended_words"] = "drawn"
    suite = Suite.model_validate(content)
    assert keys(suite) != keys(suite_with({}, tiny_model))
    assert len(Grid(suite, data, tmp_path, QUIET).run()) == 1


def test_free_text_is_measured_guarded_free_and_forced(tiny_model: Path, data: Path, tmp_path: Path):
    views = {view: {"parameters": {"view": view}} for view in ("guarded", "free", "forced")}
    content = suite_with(views, tiny_model).model_dump(mode="json")
    content["datasets"]["support"]["task"] = {"kind": "generation", "max_new_tokens": 4}
    content["cases"]["word"]["attack"] = {"name": "fixed_reply", "phrase": "mn", "target": "No."}
    found = Grid(Suite.model_validate(content), data, tmp_path, QUIET).run(
        lambda cell: cell.defence_name in views
    )
    rates = [result.figures.extension_rate for result in found]
    assert [rate is None for rate in rates] == [False, False, True]
    assert len({result.cost.tokens for result in found}) == 1
