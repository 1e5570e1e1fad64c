"""The bootstrap's interval, against the normal one that it must come near to."""

from statistics import fmean, stdev

import pytest

from p2p.metrics.mean import bootstrap_interval

VALUES = [(7 * at % 100) / 100 for at in range(100)]


def test_it_comes_near_the_normal_interval_of_many_values():
    low, high = bootstrap_interval(VALUES) or (0, 0)
    half = 1.96 * stdev(VALUES) / len(VALUES) ** 0.5
    assert low == pytest.approx(fmean(VALUES) - half, abs=0.01)
    assert high == pytest.approx(fmean(VALUES) + half, abs=0.01)


def test_the_same_values_give_the_same_interval():
    assert bootstrap_interval(VALUES) == bootstrap_interval(VALUES)


def test_equal_values_leave_no_room():
    assert bootstrap_interval([0.25] * 9) == (0.25, 0.25)


def test_without_values_there_is_none():
    assert bootstrap_interval([]) is None
