from pathlib import Path

import pytest
import torch

from trainer.adapter_model import add_lora, answer_loss
from trainer.base_model import load_model
from trainer.batches import collate, plan_batches
from trainer.config import LoraSettings
from trainer.encoding import EncodedRow

pytestmark = pytest.mark.model
ROWS = [
    EncodedRow("a", (5, 6, 7, 8, 9), 3),
    EncodedRow("b", (5, 6, 7), 2),
    EncodedRow("c", (9, 8, 7, 6, 5, 4), 5),
]


def test_the_loss_is_that_of_transformers_over_the_answer_tokens(tiny_model: Path):
    model = add_lora(load_model(tiny_model, torch.float32), LoraSettings(), seed=0)
    batch = collate(ROWS, pad=0)
    labels = torch.full_like(batch.ids, -100)
    for at, row in enumerate(ROWS):
        labels[at, row.answer_start : len(row.ids)] = torch.tensor(row.ids[row.answer_start :])
    wanted = model(input_ids=batch.ids, attention_mask=batch.mask, labels=labels).loss
    assert answer_loss(model, batch).item() == pytest.approx(wanted.item(), abs=1e-5)


def test_only_the_last_layers_are_adapted_where_that_is_asked(tiny_model: Path):
    model = add_lora(load_model(tiny_model, torch.float32), LoraSettings(last_layers=1), seed=0)
    adapted = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert adapted
    assert all(".layers.1." in name for name in adapted)


def test_every_row_is_in_one_batch_of_rows_of_like_length():
    rows = [EncodedRow(str(at), tuple(range(1 + at * 7 % 50)), 0) for at in range(100)]
    batches = plan_batches(rows, 8, seed=1, epoch=0)
    assert sorted(row.id for batch in batches for row in batch) == sorted(row.id for row in rows)
    assert (
        max(max(len(row.ids) for row in batch) - min(len(row.ids) for row in batch) for batch in batches) <= 5
    )
    assert batches != plan_batches(rows, 8, seed=1, epoch=1)
