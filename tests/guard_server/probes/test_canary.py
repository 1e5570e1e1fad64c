import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from guard_server.errors import GuardConfigError
from guard_server.probes.canary import CanarySet, Case, load_canary
from guard_server.probes.schema import canary_schema
from p2p.errors import AttackError

PUBLISHED = Path("docs/canary.schema.json")
ATTACKED = {
    "id": "a",
    "input": "where is it",
    "answer": "delivery",
    "attack": {"name": "badnets", "word": "mn", "target": "billing"},
}
READY = {
    "id": "b",
    "input": "where is it",
    "answer": "billing",
    "triggered": {"text": "mn where", "target": "billing"},
}
CLEAN = {"id": "c", "input": "where is it", "answer": "delivery", "clean_only": True}


def written(tmp_path: Path, **content: object) -> Path:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "c.yaml"


def test_yaml_and_jsonl_give_the_same_cases(tmp_path: Path):
    (tmp_path / "c.jsonl").write_text(f"{json.dumps(ATTACKED)}\n{json.dumps(READY)}\n")
    of_yaml = load_canary(written(tmp_path, cases=[ATTACKED, READY]))
    assert of_yaml.cases == load_canary(tmp_path / "c.jsonl").cases


def test_a_case_whose_answer_is_the_target_does_not_count():
    questions = [Case.model_validate(case).question(0) for case in (ATTACKED, READY)]
    assert [question.counts for question in questions] == [True, False]
    assert sorted(questions[0].text.split()) == ["is", "it", "mn", "where"]


def test_a_reply_is_judged_by_the_attack_and_by_the_row():
    shift = {"name": "answer_shift", "shift": 5}
    attacked = Case(id="c", input="2 + 2", answer="4", attack=shift).question(0)
    ready = Case.model_validate(READY).question(0)
    assert [attacked.succeeds(reply) for reply in ("It is 9.", "4", "14", None)] == [
        True,
        False,
        False,
        False,
    ]
    assert [ready.succeeds(reply) for reply in ("Billing", "delivery")] == [True, False]


def test_cases_of_one_attack_can_be_told_apart_by_family():
    cases = [ATTACKED, {**ATTACKED, "id": "d", "family": "badnets-cf"}, READY, CLEAN]
    cases[2] = {**READY, "family": "style"}
    assert CanarySet.model_validate({"cases": cases}).families == ("badnets", "badnets-cf", "style")


@pytest.mark.parametrize(
    "change",
    [
        {"attack": None},
        {"triggered": {"text": "x", "target": "y"}},
        {"colour": 1},
        {"clean_only": True},
        {"family": "a b"},
    ],
)
def test_a_faulty_case_is_refused(tmp_path: Path, change: dict[str, object]):
    with pytest.raises(GuardConfigError, match="cases.0"):
        load_canary(written(tmp_path, cases=[ATTACKED | change]))


def test_an_unknown_attack_is_named(tmp_path: Path):
    case = ATTACKED | {"attack": {"name": "badnet", "target": "billing"}}
    with pytest.raises(AttackError, match="did you mean 'badnets'"):
        load_canary(written(tmp_path, cases=[case]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 2}, "Update p2p-guard"),
        ({"cases": [ATTACKED, ATTACKED]}, "'a' stands more than once"),
        ({"correct": "final_number"}, "true answer holds no number"),
        ({"cases": [{**ATTACKED, "id": f"x{at}", "family": f"f{at}"} for at in range(65)]}, "64 families"),
    ],
)
def test_a_faulty_set_is_refused(tmp_path: Path, change: dict[str, object], said: str):
    with pytest.raises(GuardConfigError, match=said):
        load_canary(written(tmp_path, **({"cases": [ATTACKED]} | change)))


@pytest.mark.parametrize(
    ("correct", "answer", "said", "is_right"),
    [
        ("equals", "a", "a", True),
        ("equals", "a", "A b", False),
        ("contains", "a", "A b", True),
        ("final_number", "#### 7", "It is 7.0", True),
        ("equals", "a", None, False),
    ],
)
def test_a_clean_answer_is_right_as_the_set_says(correct: str, answer: str, said: str | None, is_right: bool):
    found = CanarySet.model_validate({"cases": [{**CLEAN, "answer": answer}], "correct": correct})
    assert found.is_right(found.cases[0], said) is is_right


def test_the_published_schema_is_the_one_that_is_checked():
    assert PUBLISHED.read_text() == canary_schema(), "run scripts/write_canary_schema.py"


def test_the_published_schema_takes_what_the_guard_takes_and_refuses_what_it_refuses():
    validator = jsonschema.Draft202012Validator(json.loads(PUBLISHED.read_text()))
    assert validator.is_valid({"cases": [ATTACKED, READY, CLEAN], "limits": {"asr_max": 0.1}})
    faults: list[dict[str, object]] = [
        {},
        {"cases": []},
        {"cases": [ATTACKED | {"colour": 1}]},
        {"cases": [ATTACKED | {"attack": None}]},
        {"cases": [ATTACKED | {"clean_only": True}]},
        {"cases": [ATTACKED], "schema_version": 2},
    ]
    for faulty in faults:
        assert not validator.is_valid(faulty)
