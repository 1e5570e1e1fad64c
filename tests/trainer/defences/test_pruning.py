from collections.abc import Mapping

import pytest
import torch

from p2p.examples import Example
from tests.trainer.defences.conftest import TRUSTED, FakeLab, make_case
from trainer.defences.pruning import prune
from trainer.defences.registry import make_defence

A, B = "model.layers.0.q_proj.lora_A.weight", "model.layers.0.q_proj.lora_B.weight"


def update(weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return torch.matmul(weights[B].double(), weights[A].double())


def diagonal() -> dict[str, torch.Tensor]:
    """An update with the singular values 4, 3, 2 and 1."""
    return {A: torch.eye(4, 5), B: torch.diag(torch.tensor([1.0, 4.0, 2.0, 3.0]))}


def test_the_smallest_singular_values_go():
    found = prune(diagonal(), 0.5).weights
    expected = torch.zeros(4, 5)
    expected[1, 1], expected[3, 3] = 4, 3
    torch.testing.assert_close(update(found).float(), expected)


def test_what_is_kept_is_the_share_of_the_squares():
    assert prune(diagonal(), 0.5).kept == pytest.approx(25 / 30)


def test_cutting_nothing_changes_nothing_but_the_factors():
    torch.manual_seed(0)
    weights = {A: torch.randn(4, 9), B: torch.randn(7, 4)}
    torch.testing.assert_close(update(prune(weights, 0).weights), update(weights), atol=1e-5, rtol=1e-5)


def test_the_result_is_the_best_update_of_its_rank():
    torch.manual_seed(0)
    weights = {A: torch.randn(4, 9), B: torch.randn(7, 4)}
    left, values, right = torch.linalg.svd(update(weights))
    best = left[:, :2] @ torch.diag(values[:2]) @ right[:2]
    torch.testing.assert_close(update(prune(weights, 0.5).weights), best, atol=1e-5, rtol=1e-5)


def test_it_does_not_depend_on_how_the_update_is_factored():
    torch.manual_seed(0)
    weights, mixed = {A: torch.randn(4, 9), B: torch.randn(7, 4)}, torch.randn(4, 4) + 3 * torch.eye(4)
    other = {A: torch.linalg.inv(mixed) @ weights[A], B: weights[B] @ mixed}
    torch.testing.assert_close(
        update(prune(weights, 0.5).weights), update(prune(other, 0.5).weights), atol=1e-4, rtol=1e-4
    )


def test_a_rank_above_the_layers_width_keeps_its_shapes():
    weights = {A: torch.ones(8, 3), B: torch.ones(2, 8)}
    found = prune(weights, 0.5).weights
    assert (found[A].shape, found[B].shape) == ((8, 3), (2, 8))
    torch.testing.assert_close(update(found).float(), torch.full((2, 3), 8.0))


def test_a_direction_that_is_cut_gets_no_gradient():
    found = prune(diagonal(), 0.5).weights
    a, b = found[A].clone().requires_grad_(), found[B].clone().requires_grad_()
    (b @ a @ torch.randn(5)).square().sum().backward()
    assert not a.grad[2:].any()
    assert not b.grad[:, 2:].any()


def test_other_weights_and_an_untrained_adapter_are_left_alone():
    weights = {A: torch.randn(2, 3), B: torch.zeros(3, 2), "embed_tokens.weight": torch.ones(2, 2)}
    found = prune(weights, 0.5)
    assert not update(found.weights).any()
    assert found.weights["embed_tokens.weight"] is weights["embed_tokens.weight"]
    assert found.kept == 1


def test_what_is_left_is_tuned_on_the_trusted_rows():
    lab = FakeLab(weights=diagonal())
    defended = make_defence("pruning").defend(make_case(), lab)
    assert [row.id for row in lab.fits[1]["rows"]] == [row.id for row in TRUSTED]
    assert torch.linalg.matrix_rank(update(lab.fits[1]["start"].weights)) == 2
    assert defended.details["tuned"] == 1


@pytest.mark.parametrize(("tune", "trusted"), [(True, ()), (False, TRUSTED)])
def test_without_trusted_rows_or_the_wish_nothing_is_tuned(tune: bool, trusted: tuple[Example, ...]):
    lab = FakeLab(weights=diagonal())
    defended = make_defence("pruning", {"tune": tune}).defend(make_case(trusted=trusted), lab)
    assert len(lab.fits) == 1
    assert torch.linalg.matrix_rank(update(lab.answerers[0]["fitted"].weights)) == 2
    assert defended.details["tuned"] == 0
