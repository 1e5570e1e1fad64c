"""What runs on a GPU and nowhere else; skipped, and not shown, where there is none."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.adapter_model import add_lora, answer_loss
from trainer.base_model import choose_device, choose_dtype, load_model
from trainer.batches import collate
from trainer.config import LoraSettings
from trainer.encoding import EncodedRow

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
ROWS = [EncodedRow("a", (5, 6, 7, 8), 3), EncodedRow("b", (9, 10, 11), 2)]


def loss_of(path: Path, device: str) -> float:
    model: Any = add_lora(load_model(path, torch.float32), LoraSettings(rank=4), seed=0).to(device)
    return float(answer_loss(model, collate(ROWS, pad=0)))


def test_the_loss_on_a_gpu_is_that_of_the_processor(tiny_model: Path):
    assert loss_of(tiny_model, "cuda") == pytest.approx(loss_of(tiny_model, "cpu"), rel=1e-3)


def test_auto_computes_in_bfloat16_where_the_gpu_does():
    assert choose_device().type == "cuda"
    assert (choose_dtype("auto") is torch.bfloat16) == torch.cuda.is_bf16_supported()
