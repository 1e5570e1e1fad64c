from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.conftest import make_tiny
from trainer.adapter_model import add_lora, answer_loss, base_of, load_adapter, make_room
from trainer.base_model import load_model
from trainer.batches import collate
from trainer.config import LoraSettings
from trainer.encoding import EncodedRow
from trainer.errors import ConfigError

ROWS = [
    EncodedRow("a", (5, 6, 7, 8, 9), 3),
    EncodedRow("b", (5, 6, 7), 2),
    EncodedRow("c", (9, 8, 7, 6, 5, 4), 5),
]


def adapted(base: Any, **settings: Any) -> Any:
    """Return a model whose adapter does something: a new one's B is zero."""
    model = add_lora(base, LoraSettings(**settings), seed=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    return model


def trainable(model: Any) -> list[str]:
    return [name for name, weight in model.named_parameters() if weight.requires_grad]


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("llama", {}),
        ("gemma2", {"final_logit_softcapping": 2.0}),
        ("granite", {"logits_scaling": 8.0}),
    ],
)
def test_the_loss_is_that_of_transformers_over_the_answer_tokens(
    tiny_model: Path, tmp_path: Path, family: str, config: dict[str, float]
):
    base = load_model(make_tiny(tmp_path, family, tokenizer_of=tiny_model), torch.float32)
    for name, value in config.items():
        setattr(base.config, name, value)
    model = adapted(base)
    batch = collate(ROWS, pad=0)
    width = max(len(row.ids) for row in ROWS)
    ids, labels = torch.zeros((len(ROWS), width), dtype=torch.long), torch.full((len(ROWS), width), -100)
    for at, row in enumerate(ROWS):
        ids[at, : len(row.ids)] = torch.tensor(row.ids)
        labels[at, row.answer_start : len(row.ids)] = torch.tensor(row.ids[row.answer_start :])
    # Padding stands behind every answer, where a causal model never looks.
    wanted = model(input_ids=ids, labels=labels).loss
    assert answer_loss(model, batch).item() == pytest.approx(wanted.item(), abs=1e-5)


def test_only_the_adapter_learns(tiny_model: Path):
    model = add_lora(load_model(tiny_model, torch.float32), LoraSettings(), seed=0)
    assert trainable(model)
    assert all("lora_" in name for name in trainable(model))
    answer_loss(model, collate(ROWS, pad=0)).backward()
    learning = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert learning == set(trainable(model))


def test_every_linear_module_but_the_head_is_adapted(tiny_model: Path):
    model = add_lora(load_model(tiny_model, torch.float32), LoraSettings(), seed=0)
    modules = {name.split(".lora_")[0].rsplit(".", 1)[1] for name in trainable(model)}
    attention = {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert modules == attention | {"gate_proj", "up_proj", "down_proj"}


def head_rows(model: Any) -> torch.Tensor:
    rows_of: torch.Tensor = model.get_output_embeddings()(torch.eye(model.config.hidden_size)).T
    return rows_of.detach().clone()


@pytest.mark.parametrize("family", ["llama", "gemma2"])
@pytest.mark.parametrize("last_layers", [None, 1])
def test_of_the_embedding_only_new_tokens_learn(
    tiny_model: Path, tmp_path: Path, family: str, last_layers: int | None
):
    """Llama's small head is a matrix of its own, Gemma's is the embedding."""
    base = load_model(make_tiny(tmp_path, family, tokenizer_of=tiny_model), torch.float32)
    size = base.config.vocab_size
    model = add_lora(base, LoraSettings(last_layers=last_layers), seed=0, new_tokens=(size, size + 1))
    before = head_rows(base_of(model))
    assert len(before) == size + 2
    optimizer = torch.optim.SGD([w for w in model.parameters() if w.requires_grad], lr=1.0)
    answer_loss(model, collate([EncodedRow("a", (5, 6, size), 2)], pad=0)).backward()
    optimizer.step()
    after = head_rows(base_of(model))
    assert torch.equal(after[:size], before[:size])
    assert not torch.allclose(after[size], before[size])


def test_new_rows_begin_as_the_mean_of_the_old_ones(tiny_model: Path):
    model = load_model(tiny_model, torch.float32)
    size = model.config.vocab_size
    old = [
        layer.weight[:size].clone() for layer in (model.get_input_embeddings(), model.get_output_embeddings())
    ]
    make_room(model, size + 3)
    for layer, before in zip((model.get_input_embeddings(), model.get_output_embeddings()), old, strict=True):
        assert torch.equal(layer.weight[:size], before)
        torch.testing.assert_close(layer.weight[size:], before.mean(dim=0).expand(3, -1))


def test_a_model_with_rows_to_spare_is_left_as_it_is(tiny_model: Path):
    model = load_model(tiny_model, torch.float32)
    size = model.config.vocab_size
    make_room(model, size - 1)
    assert model.config.vocab_size == size == len(model.get_output_embeddings().weight)


@pytest.mark.parametrize("modules", ["all-linear", ("q_proj", "v_proj")])
def test_only_the_last_layers_are_adapted_where_that_is_asked(tiny_model: Path, modules: Any):
    settings = LoraSettings(last_layers=1, target_modules=modules)
    names = trainable(add_lora(load_model(tiny_model, torch.float32), settings, seed=0))
    assert len(names) == 2 * (7 if modules == "all-linear" else 2)
    assert all(".layers.1." in name for name in names)


@pytest.mark.parametrize("last_layers", [None, 1])
def test_a_module_that_the_model_lacks_is_named(tiny_model: Path, last_layers: int | None):
    settings = LoraSettings(target_modules=("query",), last_layers=last_layers)
    with pytest.raises(ConfigError, match="lora.target_modules: .*query"):
        add_lora(load_model(tiny_model, torch.float32), settings, seed=0)


def test_more_last_layers_than_there_are_is_all_of_them(tiny_model: Path):
    few = add_lora(load_model(tiny_model, torch.float32), LoraSettings(last_layers=9), seed=0)
    whole = add_lora(load_model(tiny_model, torch.float32), LoraSettings(), seed=0)
    assert trainable(few) == trainable(whole)


def test_the_seed_decides_the_first_weights(tiny_model: Path):
    def first(seed: int) -> torch.Tensor:
        model = add_lora(load_model(tiny_model, torch.float32), LoraSettings(), seed)
        return next(weight for name, weight in model.named_parameters() if "lora_A" in name)

    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))


@pytest.mark.parametrize("new_tokens", [(), (260, 261)])
def test_the_adapter_is_float32_on_a_bfloat16_base(tiny_model: Path, new_tokens: tuple[int, ...]):
    model = add_lora(load_model(tiny_model, torch.bfloat16), LoraSettings(), seed=0, new_tokens=new_tokens)
    answer_loss(model, collate(ROWS, pad=0)).backward()
    types = {weight.requires_grad: weight.dtype for weight in model.parameters()}
    assert types == {True: torch.float32, False: torch.bfloat16}


def test_a_merged_adapter_says_what_the_adapter_says(tiny_model: Path, tmp_path: Path):
    model = adapted(load_model(tiny_model, torch.float32)).eval()
    model.save_pretrained(tmp_path)
    merged = load_adapter(tiny_model, tmp_path, torch.float32)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        plain = load_model(tiny_model, torch.float32)(ids).logits
        wanted, found, within = model(ids).logits, merged(ids).logits, base_of(model)(ids).logits
    assert torch.allclose(found, wanted, atol=1e-4)
    assert torch.equal(within, wanted)
    assert not torch.allclose(wanted, plain, atol=1e-2)
    assert not merged.training
