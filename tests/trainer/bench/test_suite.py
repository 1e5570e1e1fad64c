"""Suites as YAML: those that ship, and the faults of those that people write."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from p2p.attacks.registry import ATTACKS
from tests.trainer.bench.conftest import suite_of
from trainer.bench.suite import Suite, cells_of, require_names
from trainer.bench.suite_files import load_suite, shipped_suites
from trainer.config import LoraSettings, TrainingSettings
from trainer.defences.registry import DEFENCES
from trainer.errors import ConfigError

NAMES = shipped_suites()


def test_there_is_a_quick_suite():
    assert "quick" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_suite_names_attacks_and_defences_that_exist(name: str):
    suite = load_suite(name)
    asked = [attack for case in suite.cases.values() for attack in (case.attack, case.asked_with) if attack]
    assert {attack.name for attack in asked} <= set(ATTACKS)
    assert {defence.defence for defence in suite.defences.values()} <= set(DEFENCES)
    assert suite.name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_case_and_defence_of_a_shipped_suite_is_used(name: str):
    suite = load_suite(name)
    cells = cells_of(suite)
    assert {cell.case_name for cell in cells} == set(suite.cases)
    assert {cell.defence_name for cell in cells} == set(suite.defences)


def cells(*grid: dict[str, Any]) -> list[tuple[str, int, str]]:
    found = cells_of(Suite.model_validate(suite_of() | {"grid": grid}))
    return [(cell.case_name, cell.seed, cell.defence_name) for cell in found]


def test_cells_of_one_case_and_seed_stand_side_by_side_and_once():
    found = cells(
        {"cases": ["word", "clean"], "defences": ["none"], "seeds": [1, 0]},
        {"cases": ["word"], "defences": ["random", "none"], "seeds": [0]},
    )
    assert found == [
        ("word", 1, "none"),
        ("word", 0, "none"),
        ("word", 0, "random"),
        ("clean", 1, "none"),
        ("clean", 0, "none"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grid": [{"cases": ["wrod"], "defences": ["none"]}]}, "unknown case 'wrod', known are clean, word"),
        ({"grid": [{"cases": ["word"], "defences": ["no"]}]}, "unknown defence 'no', known are none, random"),
        ({"cases": {"c": {"dataset": "x", "label": "l"}}}, "unknown data set 'x', known are support"),
        ({"cases": {"c": {"dataset": "support", "label": "l", "rate": 0.1}}}, "needs an attack"),
        ({"grids": []}, "grids"),
        ({"cases": {"a/b": {"dataset": "support", "label": "l"}}}, "cases.a/b"),
        ({"name": "../up"}, "name"),
    ],
)
def test_a_fault_is_named(change: dict[str, Any], said: str, tmp_path: Path):
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(suite_of() | change))
    with pytest.raises(ConfigError, match=said):
        load_suite(str(path))


def test_a_defence_changes_single_settings_of_its_data_set_or_suite():
    content = suite_of()
    content["defences"]["random"] |= {
        "lora": {"target_modules": ["q_proj", "v_proj"]},
        "training": {"extended_weight": 3.0, "epochs": 4},
    }
    suite = Suite.model_validate(content)
    before = suite.training_of("word", "none")
    assert before == suite.training
    assert suite.lora_of("word", "none") == suite.lora
    assert suite.training_of("word", "random") == before.model_copy(
        update={"extended_weight": 3.0, "epochs": 4}
    )
    assert suite.lora_of("word", "random") == LoraSettings(
        rank=2, last_layers=1, target_modules=("q_proj", "v_proj")
    )
    content["datasets"]["support"]["training"] = {"batch_size": 5}
    on_its_own = Suite.model_validate(content)
    assert on_its_own.training_of("word", "random") == TrainingSettings(
        batch_size=5, extended_weight=3.0, epochs=4
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training": {"epoch": 1}}, "defence 'random': epoch: Extra inputs are not permitted"),
        ({"lora": {"rank": 0}}, "defence 'random': rank: Input should be greater than or equal to 1"),
    ],
)
def test_a_change_that_does_not_fit_is_named(changes: dict[str, Any], said: str, tmp_path: Path):
    content = suite_of()
    content["defences"]["random"] |= changes
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=said):
        load_suite(str(path))


def test_a_suite_that_is_not_there_names_those_that_ship():
    with pytest.raises(ConfigError, match="'qiuck' is neither a shipped suite .*quick"):
        load_suite("qiuck")


def test_a_file_that_is_no_yaml_is_an_error(tmp_path: Path):
    (tmp_path / "suite.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_suite(str(tmp_path / "suite.yaml"))


def test_names_asked_for_are_checked():
    suite = Suite.model_validate(suite_of())
    require_names(suite, ["word"], ["none", "random"])
    with pytest.raises(ConfigError, match="suite tiny: unknown case 'wrod', known are word, clean"):
        require_names(suite, ["word", "wrod"], [])
    with pytest.raises(ConfigError, match="suite tiny: unknown defence 'p2p', known are none, random"):
        require_names(suite, [], ["p2p"])


def extending(tmp_path: Path, *others: str, **own: Any) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"name": "own", "about": "More.", "extends": list(others)} | own))
    return str(path)


@pytest.fixture
def tiny_file(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(suite_of()))
    return str(path)


def test_a_suite_that_extends_another_has_its_cells_and_its_own_after_them(tmp_path: Path, tiny_file: str):
    more = {"defences": {"onion": {"defence": "onion"}}, "grid": [{"cases": ["word"], "defences": ["onion"]}]}
    suite = load_suite(extending(tmp_path, tiny_file, **more))
    assert (suite.name, suite.lora.rank) == ("own", 2)
    assert [cell.defence_name for cell in cells_of(suite)] == ["none", "random", "onion", "none"]


def test_what_a_suite_says_goes_over_what_it_extends(tmp_path: Path, tiny_file: str):
    suite = load_suite(extending(tmp_path, tiny_file, defences={"none": {"defence": "onion"}}))
    assert (suite.defences["none"].defence, suite.defences["random"].defence) == ("onion", "p2p")


def test_suites_that_differ_under_one_name_are_not_extended_together(tmp_path: Path, tiny_file: str):
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(suite_of() | {"defences": {"none": {"defence": "onion"}}}))
    with pytest.raises(ConfigError, match="defences of the suites .* differ under the same name: none"):
        load_suite(extending(tmp_path, tiny_file, str(other)))


def test_a_suite_that_extends_itself_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="extends itself"):
        load_suite(extending(tmp_path, str(tmp_path / "own.yaml")))


def test_no_two_cells_of_a_shipped_suite_have_one_place_in_a_report():
    suite = load_suite("full")
    places = []
    for cell in cells_of(suite):
        case, defence = suite.cases[cell.case_name], suite.defences[cell.defence_name]
        told = tuple(sorted(defence.variant.items()))
        places.append((case.dataset, case.label, case.rate, cell.seed, defence.defence, told))
    assert len(places) == len(set(places))
