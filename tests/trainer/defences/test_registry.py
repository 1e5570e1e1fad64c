import pytest

from trainer.defences.registry import DEFENCES, make_defence
from trainer.errors import DefenceError


def test_the_names_are_those_of_the_tables():
    assert set(DEFENCES) == {
        "none", "p2p", "p2p-unguarded", "repair", "trusted-only", "clean-tuning", "onion", "strip", "back-translation",
        "label-shift", "constrained-only", "benign-prompt", "screening-only", "pruning", "quantisation",
    }  # fmt: skip


@pytest.mark.parametrize("name", DEFENCES)
def test_every_defence_is_made_by_its_name(name: str):
    takes_rows = "select" in DEFENCES[name].model_fields
    assert make_defence(name, {"select": list} if takes_rows else None).name == name


def test_a_misspelt_name_gets_the_nearest_one():
    with pytest.raises(DefenceError, match="did you mean 'quantisation'"):
        make_defence("quantization")


def test_an_unknown_parameter_is_named_with_the_known_ones():
    with pytest.raises(DefenceError, match="takes share, tune.*shar"):
        make_defence("pruning", {"shar": 0.5})


def test_a_defence_that_needs_rows_says_so():
    with pytest.raises(DefenceError, match="select: Field required"):
        make_defence("p2p")


def test_what_is_no_data_is_left_out_of_the_parameters():
    made = make_defence("p2p", {"select": list, "repoison": {"copies": 2}})
    said = made.model_dump(mode="json")
    assert said["repoison"]["copies"] == 2
    assert not {"select", "trigger"} & set(said)
