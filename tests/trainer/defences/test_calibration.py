import pytest

from tests.trainer.defences.conftest import TRAIN, TRUSTED, make_case
from trainer.defences.calibration import calibration_rows, quantile


def test_trusted_rows_come_first():
    assert calibration_rows(make_case(), 10) == list(TRUSTED)


def test_training_rows_stand_in_for_them():
    assert calibration_rows(make_case(trusted=()), 12) == list(TRAIN)


def test_some_are_drawn_by_the_seed_and_keep_their_order():
    drawn = calibration_rows(make_case(trusted=()), 5)
    assert len(drawn) == 5
    assert drawn == sorted(drawn, key=TRAIN.index) == calibration_rows(make_case(trusted=()), 5)
    assert drawn != calibration_rows(make_case(trusted=(), seed=8), 5)


@pytest.mark.parametrize(("share", "value"), [(0.01, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.75, 3), (1, 9)])
def test_the_quantile_is_one_of_the_values(share: float, value: float):
    assert quantile([9, 3, 1, 2], share) == value
