import pytest
import torch

from tests.trainer.defences.conftest import FakeLab, make_case
from trainer.defences.quantisation import round_to_levels
from trainer.defences.registry import make_defence


def test_weights_are_rounded_to_sevenths_of_the_largest():
    weight = torch.tensor([7.0, -7.0, 1.4, 1.6, 0.4, -3.6])
    assert round_to_levels(weight, 4, 64).tolist() == [7, -7, 1, 2, 0, -4]


def test_each_group_has_a_scale_of_its_own():
    weight = torch.tensor([7.0, 0.4, 0.7, 0.04, 14.0])
    torch.testing.assert_close(round_to_levels(weight, 4, 2), torch.tensor([7.0, 0.0, 0.7, 0.0, 14.0]))


@pytest.mark.parametrize(("bits", "levels"), [(2, 3), (4, 15), (8, 255)])
def test_a_group_has_no_more_levels_than_its_bits_give(bits: int, levels: int):
    weight = torch.linspace(-1, 1, 2001)
    assert len(round_to_levels(weight, bits, 2001).unique()) == levels


def test_zeros_stay_zero():
    assert not round_to_levels(torch.zeros(3, 5), 4, 4).any()


def test_shape_and_type_are_kept():
    found = round_to_levels(torch.ones(3, 5, dtype=torch.bfloat16), 4, 4)
    assert (found.shape, found.dtype) == ((3, 5), torch.bfloat16)


def test_the_undefended_adapter_is_asked_with_its_rounded_weights():
    lab = FakeLab(weights={"lora_A": torch.tensor([[7.0, 1.4]])})
    make_defence("quantisation").defend(make_case(), lab)
    assert lab.answerers[0]["fitted"].weights["lora_A"].tolist() == [[7.0, 1.0]]
