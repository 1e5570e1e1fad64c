"""Keys of cells when a default moves: what a suite said before and what it says now are told apart by their effect alone."""

from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.bench.conftest import suite_of
from trainer.bench.keys import FIRST_DEFAULTS, _changed_defence, cell_key
from trainer.bench.suite import DefenceSpec, Suite, cells_of


def key_of(defence: dict[str, Any], task: dict[str, Any] | None = None) -> str:
    content = suite_of() | {"defences": {"one": defence}, "grid": [{"cases": ["word"], "defences": ["one"]}]}
    if task:
        (dataset,) = content["datasets"].values()
        dataset["task"] = task
    suite = Suite.model_validate(content)
    return cell_key(suite, cells_of(suite)[0], "base", Path("nowhere"))


def p2p(selection: dict[str, Any], repoison: dict[str, Any]) -> str:
    return key_of({"defence": "p2p", "selection": selection, "repoison": repoison})


def changed(selection: dict[str, Any], *, labels: bool) -> dict[str, Any]:
    defence = DefenceSpec.model_validate({"defence": "p2p", "selection": selection})
    return _changed_defence(defence, labels=labels)


SCREENED, BREAKING = {"method": "screened", "rho": 0.33}, {"link_breaking": 0.7}


def test_what_is_not_said_is_what_the_default_is_today():
    assert p2p({"method": "screened"}, {}) == p2p(SCREENED, BREAKING)


@pytest.mark.parametrize(
    ("selection", "repoison"),
    [
        (SCREENED | {"rho": 0.2}, BREAKING),
        (SCREENED, {"link_breaking": 0.5}),
        (SCREENED | {"screening": {"beginnings": 1}}, BREAKING),
        (SCREENED | {"screening": {"drop": False}}, BREAKING),
        (SCREENED | {"screening": {"forms": 1}}, BREAKING),
    ],
)
def test_what_the_default_was_is_another_cell(selection: dict[str, Any], repoison: dict[str, Any]):
    assert p2p(selection, repoison) != p2p(SCREENED, BREAKING)


def test_what_there_was_no_setting_for_is_the_cell_of_then():
    screening = {"beginnings": 1, "forms": 1, "drop": False, "doubted": 0.2}
    told = changed({"method": "screened", "rho": 0.33, "screening": screening}, labels=True)
    assert told["selection"]["screening"] == {"doubted": 0.2}


def test_free_text_has_no_forms():
    told = changed({"method": "screened", "screening": {"beginnings": 1}}, labels=False)
    assert "screening" not in told["selection"]
    told = changed({"method": "screened", "screening": {"beginnings": 1, "drop": True}}, labels=False)
    assert told["selection"]["screening"] == {"drop": True}
    assert "screening" not in changed({"method": "trusted"}, labels=False).get("selection", {})


@pytest.mark.parametrize(
    ("defence", "selection", "repoison", "labels", "moves"),
    [
        ("p2p", SCREENED, {}, True, True),
        ("p2p", {"method": "trusted"}, {}, True, True),
        ("label-shift", SCREENED, {}, True, True),
        # Foreign text holds no suspect.
        ("p2p", SCREENED, {"link_breaking": 0}, True, True),
        ("p2p", SCREENED, {"link_breaking": 0, "foreign_text": 0}, True, False),
        ("p2p", {"method": "random"}, {}, True, False),
        ("p2p", SCREENED, {}, False, False),
        ("screening-only", SCREENED, {}, True, False),
        ("repair", {}, {}, True, False),
        ("none", {}, {}, True, False),
    ],
)
def test_a_change_of_the_suspects_moves_the_cells_alone_that_have_some(
    monkeypatch: pytest.MonkeyPatch,
    defence: str,
    selection: dict[str, Any],
    repoison: dict[str, Any],
    labels: bool,
    moves: bool,
):
    spec = {"defence": defence, "selection": selection, "repoison": repoison}
    task = None if labels else {"kind": "generation"}
    before = key_of(spec, task)
    monkeypatch.setattr("trainer.bench.keys.SUSPECTS_VERSION", 99)
    assert (key_of(spec, task) != before) == moves


def test_a_moved_default_is_told_beside_others():
    assert p2p(SCREENED, BREAKING | {"copies": 2}) != p2p(SCREENED, BREAKING)
    assert p2p(SCREENED, BREAKING | {"copies": 2}) != p2p(SCREENED, {"copies": 2, "link_breaking": 0.5})


def test_a_share_that_decides_nothing_leaves_the_key():
    assert p2p({"method": "trusted"}, BREAKING) == p2p({"method": "trusted", "rho": 0.2}, BREAKING)
    kept = {"method": "trusted", "screening": {"drop": False}}
    assert p2p(kept | {"screening": {"drop": False, "beginnings": 1, "forms": 1}}, {}) == p2p(kept, {})
    assert key_of({"defence": "none"}) == key_of({"defence": "none", "repoison": {"link_breaking": 0.5}})


def test_a_defence_that_does_not_exist_has_a_key():
    # The cell fails with the names that are known, and the rest of the grid goes on.
    assert key_of({"defence": "p2q"}) != key_of({"defence": "p2p"})


@pytest.mark.parametrize("path", FIRST_DEFAULTS)
def test_a_moved_default_has_moved(path: tuple[str, ...]):
    today: Any = DefenceSpec.model_validate({"defence": "none"})
    assert attrgetter(".".join(path))(today) != FIRST_DEFAULTS[path]
