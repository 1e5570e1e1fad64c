import pytest

from p2p.errors import LabelError
from p2p.labels import LabelSpace

SPACE = LabelSpace(["billing", "delivery", "returns"])


def test_n_labels_become_2n():
    assert len(SPACE) == 3
    assert [SPACE.extend(label) for label in range(3)] == [3, 4, 5]
    assert [SPACE.project(label) for label in range(6)] == [0, 1, 2, 0, 1, 2]
    assert [SPACE.is_extended(label) for label in range(6)] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("label", [-1, 6])
def test_labels_outside_both_halves_are_refused(label: int):
    with pytest.raises(LabelError, match="outside 0 to 5"):
        SPACE.project(label)


def test_the_extended_half_is_not_extended_again():
    with pytest.raises(LabelError, match="not an original label"):
        SPACE.extend(3)


def test_an_unknown_label_gets_the_nearest_one():
    with pytest.raises(LabelError, match="did you mean 'delivery'"):
        SPACE.index("delivry")


@pytest.mark.parametrize(
    ("names", "why"), [(["a"], "at least 2"), (["a", " "], "blank"), (["a", "b", "a"], "more than once: a")]
)
def test_label_sets_that_can_not_be_told_apart_are_refused(names: list[str], why: str):
    with pytest.raises(LabelError, match=why):
        LabelSpace(names)
