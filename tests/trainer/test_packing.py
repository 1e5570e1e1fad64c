from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from tests.trainer.conftest import make_tiny
from trainer.adapter_model import add_lora, answer_loss
from trainer.base_model import load_model
from trainer.batches import collate
from trainer.config import LoraSettings
from trainer.encoding import EncodedRow
from trainer.packing import pack


def draw_rows(count: int) -> list[EncodedRow]:
    rng = Random(5)
    sizes = [rng.randrange(3, 40) for _ in range(count)]
    return [
        EncodedRow(str(at), tuple(rng.choices(range(3, 250), k=size)), rng.randrange(1, size))
        for at, size in enumerate(sizes)
    ]


ROWS = draw_rows(12)


def adapted(model: Path) -> Any:
    # Without dropout, and with an adapter that does something.
    tuned = add_lora(load_model(model, torch.float32), LoraSettings(rank=4), seed=0).train()
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return tuned


@pytest.mark.parametrize(
    ("family", "capacity"),
    [("llama", 10), ("llama", 1000), ("qwen2", 64), ("gemma2", 64), ("gemma3_text", 64)],
)
def test_the_loss_and_its_gradients_are_those_of_rows_apart(
    tiny_model: Path, tmp_path: Path, family: str, capacity: int
):
    model = adapted(make_tiny(tmp_path / family, family, tokenizer_of=tiny_model))
    found = []
    for batch in (collate(ROWS, pad=0), pack(ROWS, 0, capacity)):
        loss = answer_loss(model, batch)
        loss.backward()
        gradients = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
        found.append((loss.item(), gradients))
        model.zero_grad()
    (apart, apart_gradients), (packed, packed_gradients) = found
    assert packed == pytest.approx(apart, abs=1e-5)
    torch.testing.assert_close(packed_gradients, apart_gradients, atol=1e-6, rtol=1e-3)


def test_rows_fill_as_few_sequences_as_there_is_room_for():
    rows = [EncodedRow(str(size), tuple(range(size + 1)), 1) for size in (4, 6, 5, 5, 7, 3)]
    batch = pack(rows, pad=9, capacity=10)
    assert batch.ids.shape == (3, 10)
    assert batch.mask is None
    assert batch.tokens == 30 + 6


def test_positions_begin_again_with_each_row_and_with_what_is_left_over():
    batch = pack([EncodedRow("a", (1, 2, 3, 4), 2), EncodedRow("b", (5, 6, 7), 2)], pad=0, capacity=5)
    assert batch.ids.tolist() == [[1, 2, 3, 5, 6]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1]]
    assert batch.at_position.tolist() == [1, 2, 4]
    assert batch.targets.tolist() == [3, 4, 7]
    short = pack([EncodedRow("a", (1, 2, 3, 4), 2), EncodedRow("b", (5, 6), 1)], pad=0, capacity=3)
    assert short.positions.tolist() == [[0, 1, 2], [0, 0, 1]]


def test_a_row_longer_than_the_capacity_has_a_sequence_of_its_own():
    batch = pack([EncodedRow("a", tuple(range(9)), 1), EncodedRow("b", (5, 6), 1)], pad=0, capacity=4)
    assert batch.ids.shape == (2, 8)
