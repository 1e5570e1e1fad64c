"""The lab on a tiny model: equal trainings once, and embeddings that no adapter has a say in."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2p.examples import Example
from p2p.prompts import PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask
from tests.trainer.conftest import QUIET
from trainer.bench.lab import BenchLab
from trainer.config import LoraSettings, TrainingSettings
from trainer.defences.base import Case, Fitted, plain_rows

ROWS = [Example(str(at), f"row {at}", ("no", "yes")[at % 2]) for at in range(16)]
TRAINING = TrainingSettings(epochs=1, batch_size=8, dtype="float32", learning_rate=0.1)


@pytest.fixture
def case(tokenizer: Any) -> Case:
    ids = tuple(tokenizer.convert_tokens_to_ids(list("0123")))
    task = ClassificationTask(labels=("no", "yes"), words=tuple("0123"), token_ids=ids, answer_context="\n")
    return Case(task, PromptTemplate(kind=PromptKind.COMPLETION, user="{input}\n"), ROWS, (), seed=0)


def make_lab(model: Path, kept: Path | None = None, **lora: Any) -> BenchLab:
    return BenchLab(model, LoraSettings(rank=2, **lora), TRAINING, kept, QUIET)


def same(first: Fitted, second: Fitted) -> bool:
    return all((first.weights[name] == weight).all() for name, weight in second.weights.items())


def test_an_equal_training_is_done_once_even_by_another_lab(case: Case, tiny_model: Path, tmp_path: Path):
    rows = plain_rows(ROWS, case.task)
    first = make_lab(tiny_model, tmp_path, last_layers=1).fit(case, rows)
    lab = make_lab(tiny_model, tmp_path, last_layers=1)
    # What was kept has the first training's time; a second one would have its own.
    again = lab.fit(case, rows)
    assert (again.seconds, again.tokens, again.curve) == (first.seconds, first.tokens, first.curve)
    assert same(first, again)
    assert not same(first, lab.fit(case._replace(seed=1), rows))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_training_owes_nothing_to_the_one_before(case: Case, tiny_model: Path):
    lab, rows = make_lab(tiny_model, last_layers=1), plain_rows(ROWS, case.task)
    first = lab.fit(case, rows)
    lab.fit(case, rows[:8])
    assert same(first, lab.fit(case, rows))


def test_a_lab_that_trains_in_another_way_has_the_same_model(case: Case, tiny_model: Path):
    lab, rows = make_lab(tiny_model, last_layers=1), plain_rows(ROWS, case.task)
    other = lab.trained_as(TRAINING.model_copy(update={"epochs": 3}))
    assert other.model is lab.model
    once, thrice = lab.fit(case, rows), other.fit(case, rows)
    assert thrice.tokens == 3 * once.tokens
    assert same(once, lab.fit(case, rows))


def test_a_training_may_have_settings_of_its_own(case: Case, tiny_model: Path):
    lab, rows = make_lab(tiny_model, last_layers=1), plain_rows(ROWS, case.task)
    assert lab.fit(case, rows, changes={"epochs": 2}).tokens == 2 * lab.fit(case, rows).tokens


@pytest.mark.parametrize("lora", [{}, {"last_layers": 1}])
def test_an_embedding_owes_nothing_to_an_adapter(case: Case, tiny_model: Path, lora: dict[str, Any]):
    lab = make_lab(tiny_model, **lora)
    before = lab.embed(case, ["late parcel"])
    lab.fit(case, plain_rows(ROWS, case.task))
    np.testing.assert_array_equal(before, lab.embed(case, ["late parcel"]))


@pytest.mark.parametrize(("lora", "shared"), [({}, False), ({"last_layers": 1}, True)])
def test_rows_are_run_ahead_where_a_training_uses_their_states(
    case: Case, tiny_model: Path, lora: dict[str, Any], shared: bool
):
    assert (make_lab(tiny_model, **lora).warm(case, [row.text for row in ROWS]) > 0) is shared


def test_an_adapter_of_another_base_model_is_not_taken(case: Case, tiny_model: Path, tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    # What the file says stays the same; its content is another.
    config = other / "config.json"
    config.write_text(config.read_text() + " ")
    rows, kept = plain_rows(ROWS, case.task), tmp_path / "kept"
    for model in (tiny_model, other):
        make_lab(model, kept, last_layers=1).fit(case, rows)
    assert len(list(kept.iterdir())) == 2
