import pkgutil
from pathlib import Path

import pytest

import p2p.attacks
from p2p.attacks.base import Attack
from p2p.attacks.registry import ATTACKS, make_attack
from p2p.errors import AttackError
from p2p.examples import Example

SHARED = {
    "aligned",
    "base",
    "families",
    "covering",
    "poisoning",
    "registry",
    "rewrites",
    "knowing",
}


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Attack:
    """The attack of the name asked for, with nothing but what it requires."""
    (tmp_path / "pairs.jsonl").write_text('{"clean": "so it is", "rewritten": "as it is , so"}\n')
    part = {"name": "badnets", "target": "billing"}
    values = {
        "target": "billing",
        "rewrites": str(tmp_path / "pairs.jsonl"),
        "labels": "billing,delivery",
        "parts": [part, part],
    }
    fields = ATTACKS[request.param].model_fields
    return make_attack(request.param, {key: values[key] for key in fields if fields[key].is_required()})


every_attack = pytest.mark.parametrize("made", ATTACKS, indirect=True)


def test_every_family_s_file_is_listed():
    files = {module.name for module in pkgutil.iter_modules(p2p.attacks.__path__)}
    listed = {attack.__module__.rsplit(".", 1)[1] for attack in ATTACKS.values()}
    assert listed == files - SHARED


@every_attack
def test_an_attack_is_made_with_what_it_requires_and_again_from_its_dump(made: Attack):
    assert make_attack(made.name, made.model_dump()) == made
    assert make_attack(made.name, made.model_dump(mode="json")) == made


@every_attack
def test_an_attack_says_what_it_is(made: Attack):
    assert made.summary.endswith(".")
    assert "arXiv" in made.source
    assert made.describe().startswith(f"{made.name}(")


@every_attack
def test_an_attack_is_a_pure_function_that_keeps_id_and_true_answer(made: Attack):
    row = Example(
        "r1", "so it is", "delivery" if made.can_trigger(Example("r1", "so it is", "delivery")) else "7"
    )
    triggered, poisoned = made.trigger(row, 5), made.poison(row, 5)
    assert (triggered, poisoned) == (made.trigger(row, 5), made.poison(row, 5))
    assert triggered == Example(row.id, poisoned.text, row.answer)
    assert triggered.text != row.text
    assert made.succeeds(poisoned.answer, row)
    assert not made.succeeds(row.answer, row)
    assert not made.succeeds(None, row)
    assert made.applies_to(row)


def test_a_misspelt_name_gets_the_nearest_one():
    with pytest.raises(AttackError, match="did you mean 'badnets'"):
        make_attack("badnet", {"target": "billing"})


def test_an_unknown_parameter_is_named_with_the_known_ones():
    with pytest.raises(AttackError, match="takes target, word.*wrod"):
        make_attack("badnets", {"target": "billing", "wrod": "mn"})


def test_a_missing_target_is_named():
    with pytest.raises(AttackError, match="target: Field required"):
        make_attack("addsent", {})
