"""The rows of a case: poisoned, trusted and held out, none of them in two places."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from p2p.errors import DataError
from p2p.triggers import BenignTrigger
from tests.trainer.bench.conftest import suite_of
from trainer.bench.cases import BenchCase, make_case
from trainer.bench.suite import Suite
from trainer.tasks import seed_key


def made(data: Path, name: str = "word", seed: int = 0, **changes: Any) -> BenchCase:
    content = suite_of()
    content["datasets"]["support"] |= changes.pop("dataset", {})
    content["cases"][name] |= changes
    suite = Suite.model_validate(content)
    return make_case(suite.cases[name], suite.datasets["support"], data, seed)


def texts(rows: Any) -> set[str]:
    return {" ".join(row.text.lower().split()) for row in rows}


def write(path: Path, rows: list[tuple[str, str]]) -> None:
    path.write_text(
        "\n".join(
            json.dumps({"id": f"{path.stem}-{at}", "text": text, "label": label})
            for at, (text, label) in enumerate(rows)
        )
    )


def test_rows_are_as_many_as_asked_for_and_poisoned_at_the_rate(data: Path):
    found = made(data)
    assert [len(found.train), len(found.clean), len(found.trusted), len(found.test)] == [40, 40, 4, 8]
    assert len(found.poisoned_ids) == 8
    changed = {row.id for row, before in zip(found.train, found.clean, strict=True) if row != before}
    assert changed == found.poisoned_ids


def test_cover_rows_carry_the_trigger_and_keep_their_label(data: Path):
    found = made(data, cover_rate=0.1)
    changed = [(row, old) for row, old in zip(found.train, found.clean, strict=True) if row != old]
    covers = [(row, old) for row, old in changed if row.id not in found.poisoned_ids]
    assert (len(changed), len(covers)) == (12, 4)
    assert all("mn" in row.text.split() and row.answer == old.answer for row, old in covers)


def test_cover_rows_need_an_attack(data: Path):
    with pytest.raises(ValidationError, match="a cover_rate needs an attack"):
        made(data, attack=None, rate=0, cover_rate=0.1)


def test_trusted_rows_are_of_each_label_alike(data: Path):
    assert Counter(row.answer for row in made(data).trusted) == {"billing": 2, "delivery": 2}


def test_no_text_is_in_two_of_training_trusted_and_test_rows(data: Path):
    shared = [(f"Row  {at}", ("billing", "delivery")[at % 2]) for at in range(60)]
    write(data / "train.jsonl", shared)
    write(data / "test.jsonl", [(f"row {at}", label) for at, (_, label) in enumerate(shared[:20])])
    write(data / "trusted.jsonl", [(text.upper(), label) for text, label in shared])
    found = made(data, dataset={"trusted": {"path": "trusted.jsonl", "id": "id"}, "rows": 30})
    groups = [texts(found.clean), texts(found.trusted), texts(found.test)]
    assert [len(group) for group in groups] == [30, 4, 8]
    assert len(set.union(*groups)) == 42


def test_a_text_that_stands_twice_counts_once(data: Path):
    rows = [(f"row {at // 2}", ("billing", "delivery")[at // 2 % 2]) for at in range(120)]
    write(data / "train.jsonl", rows)
    found = made(data)
    assert len(texts(found.clean)) == 40


def test_long_rows_are_left_out(data: Path):
    write(
        data / "test.jsonl",
        [(f"one two three {at}", "billing") for at in range(5)] + [("one two", "billing")],
    )
    assert texts(made(data, dataset={"max_words": 3}, name="clean").test) == {"one two"}


def test_the_seed_decides_poison_and_trust_and_leaves_the_rest(data: Path):
    first, same, other = made(data), made(data), made(data, seed=1)
    assert (first.train, first.trusted, first.poisoned_ids) == (same.train, same.trusted, same.poisoned_ids)
    assert first.poisoned_ids != other.poisoned_ids
    assert first.trusted != other.trusted
    assert (first.clean, first.test) == (other.clean, other.test)


def test_a_case_without_attack_is_left_as_it_is(data: Path):
    found = made(data, "clean")
    assert (found.train, found.poisoned_ids, found.attack) == (found.clean, frozenset(), None)


def test_a_never_poisoned_case_may_be_asked_with_an_attack(data: Path):
    found = made(data, "clean", asked_with={"name": "badnets", "word": "mn", "target": "billing"})
    assert found.train == found.clean
    assert found.attack is not None
    assert "mn" in found.attack.trigger(found.test[0], 0).text.split()


def test_too_few_trusted_rows_are_an_error_that_counts_them(data: Path):
    with pytest.raises(DataError, match="30 trusted rows are asked for, and 20 are left"):
        made(data, trusted_rows=30)


@pytest.mark.parametrize(("knows", "insiders"), [("trigger", 0), ("trigger_and_words", 8)])
def test_an_attacker_who_knows_the_trigger_has_it_in_each_of_his_rows(data: Path, knows: str, insiders: int):
    plain, found = made(data), made(data, attacker_knows=knows)
    known = BenignTrigger.draw(seed_key(0))
    assert found.poisoned_ids == plain.poisoned_ids
    for before, after in zip(plain.train, found.train, strict=True):
        poisoned = before.id in plain.poisoned_ids
        assert after.text == (known.stamp(before.text) if poisoned else before.text)
        assert after.answer == before.answer
    assert found.insider_ids == (found.poisoned_ids if insiders else frozenset())


def test_knowing_alone_is_no_attack(data: Path):
    with pytest.raises(ValidationError, match="attacker_knows needs an attack"):
        made(data, "clean", attacker_knows="trigger")
