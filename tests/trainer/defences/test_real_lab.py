"""Every defence once on a real model, tiny and random: weights go in and out, and answers are labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

from p2p.repoison import TrainingRow
from p2p.tasks import ClassificationTask
from p2p.triggers import BenignTrigger
from tests.trainer.defences.conftest import LABELS, PROMPT, chosen, make_case
from trainer.adapter_model import add_lora, answer_loss, base_of
from trainer.answering import Adapter, Answerer
from trainer.base_model import load_model
from trainer.batches import collate, plan_batches
from trainer.config import LoraSettings
from trainer.defences.base import Case, Fitted
from trainer.defences.registry import DEFENCES, make_defence
from trainer.encoding import encode_rows

TEXTS = ["a dull film", "a fine film mn", "an odd film"]


class TinyLab:
    """Trains for one epoch and keeps nothing."""

    def __init__(self, base: Path, tokenizer: Any) -> None:
        self._base = base
        self._tokenizer = tokenizer

    def fit(
        self,
        case: Case,
        rows: Sequence[TrainingRow],
        *,
        start: Fitted | None = None,
        stamp: str = "",
        changes: Mapping[str, Any] = MappingProxyType({}),
    ) -> Fitted:
        from peft import get_peft_model_state_dict

        model = self._model(case, start).train()
        encoded = encode_rows(rows, case.task, self._tokenizer, case.prompt, 80, stamp).rows
        optimizer = torch.optim.AdamW(
            [weight for weight in model.parameters() if weight.requires_grad], lr=0.01
        )
        for batch in plan_batches(encoded, 4, case.seed, 0):
            answer_loss(model, collate(batch, 0)).backward()
            optimizer.step()
            optimizer.zero_grad()
        weights = {name: weight.detach().clone() for name, weight in get_peft_model_state_dict(model).items()}
        return Fitted(weights, sum(len(row.ids) for row in encoded), 0.1)

    def answerer(self, case: Case, fitted: Fitted | None, trigger: BenignTrigger | None = None) -> Answerer:
        model = base_of(self._model(case, fitted).eval())
        return Answerer(model, self._tokenizer, Adapter(case.task, case.prompt, trigger))

    def perplexities(self, texts: Sequence[str]) -> list[float]:
        model = load_model(self._base, torch.float32).eval()
        with torch.inference_mode():
            return [self._perplexity(model, text) for text in texts]

    def _perplexity(self, model: Any, text: str) -> float:
        ids = torch.tensor([self._tokenizer.encode(text)])
        return float(model(input_ids=ids, labels=ids).loss.exp())

    def _model(self, case: Case, fitted: Fitted | None) -> Any:
        from peft import set_peft_model_state_dict

        lora = LoraSettings(rank=4, dropout=0.0)
        model = add_lora(load_model(self._base, torch.float32), lora, case.seed)
        if fitted:
            set_peft_model_state_dict(model, dict(fitted.weights))
        return model


@pytest.fixture(scope="module")
def lab(tiny_model: Path, tokenizer: Any) -> TinyLab:
    return TinyLab(tiny_model, tokenizer)


@pytest.fixture(scope="module")
def case(tokenizer: Any) -> Case:
    ids = tuple(tokenizer.convert_tokens_to_ids(word) for word in LABELS.words)
    task = ClassificationTask(labels=LABELS.labels, words=LABELS.words, token_ids=ids, answer_context="|")
    return make_case(task=task, prompt=PROMPT)


def make(name: str):
    takes_rows = "select" in DEFENCES[name].model_fields
    return make_defence(name, {"select": lambda case: chosen(case.trusted)} if takes_rows else {})


@pytest.mark.parametrize("name", sorted(DEFENCES))
def test_a_defence_trains_and_answers_the_same_way_each_time(name: str, lab: TinyLab, case: Case):
    first, second = (make(name).defend(case, lab) for _ in range(2))
    answers = first.answer(TEXTS)
    assert answers == second.answer(TEXTS)
    assert len(answers) == len(TEXTS)
    assert {reply.answer for reply in answers} <= {*LABELS.labels, None}
    assert first.fitted.tokens > 0


def test_directions_that_are_cut_stay_cut_through_the_tuning(lab: TinyLab, case: Case):
    weights = make("pruning").defend(case, lab).fitted.weights
    pairs = [(name.replace("lora_A", "lora_B"), name) for name in weights if "lora_A" in name]
    assert pairs
    for b, a in pairs:
        assert torch.linalg.matrix_rank(weights[b].double() @ weights[a].double()) <= 2
