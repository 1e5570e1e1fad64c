"""The loss of the two halves, against torch's own losses of the same logits."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.adapter_model import add_lora, answer_loss, base_of, logits_at
from trainer.base_model import load_model
from trainer.batches import collate
from trainer.config import LoraSettings
from trainer.encoding import EncodedRow
from trainer.packing import pack
from trainer.processes import Processes
from trainer.trunk import Trunk
from trainer.weighted_loss import Weighing, weighted_loss

TWIN = EncodedRow("b", (40, 41, 9, 8), 2, extended=True)
ROWS = [
    EncodedRow("a", (5, 6, 7, 8, 9), 3),
    EncodedRow("b", (40, 77, 41, 9, 8), 3, extended=True, twin=TWIN),
    EncodedRow("c", (9, 8, 7), 2, extended=True),
]
TARGETS = torch.tensor([8, 9, 9, 8, 7])


@pytest.fixture
def adapted(tiny_model: Path) -> Any:
    model = add_lora(load_model(tiny_model, torch.float32), LoraSettings(rank=2, last_layers=1), seed=0)
    # A head that has something to say: a fresh one says next to the same of everything.
    head = base_of(model).get_output_embeddings().weight
    head.data = torch.randn(head.shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    return model


def loss_of(model: Any, weighing: Weighing, rows: list[EncodedRow] = ROWS) -> torch.Tensor:
    return weighted_loss(model, rows, collate(rows, pad=0), weighing)


def logits_of(model: Any, rows: list[EncodedRow]) -> torch.Tensor:
    return logits_at(base_of(model), collate(rows, pad=0))


def test_an_extended_token_weighs_what_is_asked_for(adapted: Any):
    each = torch.nn.functional.cross_entropy(logits_of(adapted, ROWS), TARGETS, reduction="none")
    wanted = (each[0] + each[1] + 3 * (each[2] + each[3] + each[4])) / (2 + 3 * 3)
    torch.testing.assert_close(loss_of(adapted, Weighing(extended=3)), wanted)


def test_at_equal_weights_it_is_the_plain_loss(adapted: Any):
    torch.testing.assert_close(loss_of(adapted, Weighing()), answer_loss(adapted, collate(ROWS, pad=0)))


@pytest.mark.parametrize(("size", "wanted"), [(1, 2), (2, 1), (3, 2)])
def test_what_processes_and_parts_add_up_to_is_the_loss_of_the_whole(adapted: Any, size: int, wanted: int):
    weighing = Weighing(3, 2)
    parts = [
        part for rank in range(size) for part in Processes(rank, size).parts(ROWS, wanted, weighing.of_row)
    ]
    found = sum(part.weight * loss_of(adapted, weighing, list(part.rows)) for part in parts)
    torch.testing.assert_close(found, loss_of(adapted, weighing))


def test_packed_rows_weigh_alike(adapted: Any):
    packed = weighted_loss(adapted, ROWS, pack(ROWS, 0, 16), Weighing(extended=3))
    torch.testing.assert_close(packed, loss_of(adapted, Weighing(extended=3)))


def test_consistency_adds_the_divergence_from_the_undisturbed_row(adapted: Any):
    twin, copy = (
        torch.distributions.Categorical(logits=logits_of(adapted, [row])) for row in (TWIN, ROWS[1])
    )
    apart = torch.distributions.kl_divergence(twin, copy)
    assert apart.sum() > 1e-3
    found = loss_of(adapted, Weighing(consistency=2)) - loss_of(adapted, Weighing())
    torch.testing.assert_close(found, 2 * apart.sum() / 5)


def test_the_divergence_weighs_as_its_row_does(adapted: Any):
    found = loss_of(adapted, Weighing(3, 2)) - loss_of(adapted, Weighing(extended=3))
    even = loss_of(adapted, Weighing(consistency=2)) - loss_of(adapted, Weighing())
    torch.testing.assert_close(found, even * 5 * 3 / 11)


def test_the_undisturbed_row_is_taken_as_it_is(adapted: Any):
    weights = [weight for weight in adapted.parameters() if weight.requires_grad]
    # The gradient of KL(p || q) for a fixed p is that of the cross-entropy of q under p.
    said = logits_of(adapted, [TWIN]).softmax(-1)
    wanted, moving = (
        torch.autograd.grad(
            loss_of(adapted, Weighing()) - (held * logits_of(adapted, [ROWS[1]]).log_softmax(-1)).sum() / 5,
            weights,
        )
        for held in (said.detach(), said)
    )
    found = torch.autograd.grad(loss_of(adapted, Weighing(consistency=1)), weights)
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=0)
    assert max((one - other).abs().max() for one, other in zip(moving, wanted, strict=True)) > 0.02


def test_a_row_that_is_its_own_twin_has_nothing_to_agree_on(adapted: Any):
    rows = [ROWS[1]._replace(twin=ROWS[1]._replace(twin=None)), ROWS[0]]
    torch.testing.assert_close(
        loss_of(adapted, Weighing(consistency=5), rows), loss_of(adapted, Weighing(), rows)
    )


def test_frozen_layers_computed_before_give_the_same_loss(adapted: Any):
    trunk, weighing = Trunk(base_of(adapted), 1), Weighing(3, 2)
    found = weighted_loss(adapted, ROWS, collate(ROWS, pad=0), weighing, trunk)
    torch.testing.assert_close(found, loss_of(adapted, weighing))
