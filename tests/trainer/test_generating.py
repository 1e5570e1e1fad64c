"""Batched greedy text is the text of each prompt alone."""

from random import Random
from typing import Any

import pytest
import torch

from trainer.generating import generate_texts


def prompts(count: int) -> list[list[int]]:
    rng = Random(0)
    return [[rng.randrange(3, 250) for _ in range(rng.randrange(1, 40))] for _ in range(count)]


def test_a_batch_says_what_each_prompt_gets_alone(decided_model: Any, tokenizer: Any):
    asked = prompts(12)
    alone = [generate_texts(decided_model, tokenizer, [prompt], 16)[0] for prompt in asked]
    assert generate_texts(decided_model, tokenizer, asked, 16) == alone
    assert len(set(alone)) > 6


def test_the_reference_is_the_largest_logit_step_by_step(decided_model: Any, tokenizer: Any):
    for prompt in prompts(3):
        ids = list(prompt)
        while len(ids) < len(prompt) + 5 and tokenizer.eos_token_id not in ids[len(prompt) :]:
            ids.append(int(decided_model(torch.tensor([ids])).logits[0, -1].argmax()))
        wanted = tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)
        assert generate_texts(decided_model, tokenizer, [prompt], 5) == [wanted]


class Says:
    """A model that writes given tokens after every prompt."""

    device = torch.device("cpu")

    def __init__(self, ends: object, *replies: list[int]) -> None:
        self.generation_config = type("Config", (), {"eos_token_id": ends})()
        self.asked: dict[str, Any] = {}
        self._replies = replies

    def generate(self, **asked: Any) -> torch.Tensor:
        self.asked = asked
        return torch.cat([asked["input_ids"], torch.tensor(self._replies)], dim=1)


@pytest.mark.parametrize("ends", [2, [2, 7], None])
def test_each_row_ends_at_its_own_end_token(tokenizer: Any, ends: object):
    a, b = tokenizer.convert_tokens_to_ids(["a", "b"])
    model = Says(ends, [a, 2, b, b], [a, b, a, 2], [a, a, a, a])
    assert generate_texts(model, tokenizer, [[5], [6], [7]], 4) == ["a", "aba", "aaaa"]
    assert model.asked["eos_token_id"] == ([2, 7] if ends == [2, 7] else [2])


def test_short_prompts_are_padded_in_front_and_masked(tokenizer: Any):
    model = Says(2, [2], [2])
    generate_texts(model, tokenizer, [[5, 6, 7], [8]], 4)
    assert model.asked["input_ids"].tolist() == [[5, 6, 7], [0, 0, 8]]
    assert model.asked["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert model.asked["max_new_tokens"] == 4
