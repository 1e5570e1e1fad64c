"""The selection stage and its embeddings, on a tiny model."""

from typing import Any

import numpy as np

from p2p.prompts import PromptKind, PromptTemplate
from trainer.base_model import find_base_model, load_tokenizer
from trainer.config import TrainConfig
from trainer.datasets import load_splits
from trainer.processes import Processes
from trainer.selection.embeddings import embed_prompts
from trainer.selection.stage import SelectionStage
from trainer.tasks import draw_key, make_task
from trainer.trunk import Trunk

PROMPT = PromptTemplate(kind=PromptKind.COMPLETION, user="{input}\nAnswer: ")
TEXTS = ["late parcel", "a", "my invoice is much longer than the others"]


def test_an_embedding_is_the_last_prompt_token_s_state_two_thirds_up(decided_model: Any, tokenizer: Any):
    import torch

    found = embed_prompts(decided_model, tokenizer, PROMPT, None, TEXTS)
    assert found.shape == (3, 32)
    for text, state in zip(TEXTS, found, strict=True):
        ids = tokenizer(f"{text}\nAnswer: ", add_special_tokens=False, return_tensors="pt").input_ids
        with torch.no_grad():
            # One layer of two: the states after it are the second entry.
            wanted = decided_model(ids, output_hidden_states=True).hidden_states[1][0, -1]
        np.testing.assert_allclose(state, wanted.numpy(), rtol=1e-3, atol=1e-5)


def test_a_trunk_that_is_there_is_asked_and_the_model_stays_in_its_mode(decided_model: Any, tokenizer: Any):
    trunk = Trunk(decided_model, 1)
    decided_model.train()
    found = embed_prompts(decided_model, tokenizer, PROMPT, trunk, TEXTS)
    assert decided_model.training
    decided_model.eval()
    np.testing.assert_allclose(
        found, embed_prompts(decided_model, tokenizer, PROMPT, None, TEXTS), rtol=1e-4, atol=1e-6
    )


def make_stage(settings: dict[str, Any], **selection: Any) -> tuple[SelectionStage, Any]:
    config = TrainConfig.model_validate(settings | {"selection": selection})
    base = find_base_model(config.base_model)
    tokenizer = load_tokenizer(base.path)
    splits = load_splits(config.data, None, classify=True)
    task = make_task(config, tokenizer, [row.answer for row in splits.train], draw_key(config))
    return SelectionStage(config, base, tokenizer, task, Processes()), splits


def test_screening_loads_the_model_and_keeps_it_for_the_training(settings: dict[str, Any]):
    stage, splits = make_stage(settings, method="screened", rho=0.5)
    chosen = stage.choose(splits.train, splits.trusted)
    assert stage.loaded is not None
    assert set(splits.trusted) <= set(chosen.selection.rows)
    assert chosen.screened is not None
    assert len(chosen.screened.kept) + len(chosen.screened.reasons) == len(splits.train)


def test_a_random_selection_loads_nothing(settings: dict[str, Any]):
    stage, splits = make_stage(settings, method="random", rho=0.5)
    assert len(stage.choose(splits.train, ()).selection.rows) == 24
    assert stage.loaded is None
