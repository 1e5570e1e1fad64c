import pytest

from guard_server.probes.trend import Direction, chance_of_rise, trend
from p2p.metrics.rate import Rate


def rate(k: int, n: int) -> Rate:
    return Rate(k=k, n=n)


def test_the_chance_is_that_of_fishers_tea_tasting():
    # Fisher 1935: 3 of 4 right against 1 of 4: 17/70; all right: 1/70.
    assert chance_of_rise(rate(1, 4), rate(3, 4)) == pytest.approx(17 / 70)
    assert chance_of_rise(rate(0, 4), rate(4, 4)) == pytest.approx(1 / 70)


@pytest.mark.parametrize(
    ("runs", "direction"),
    [
        ([rate(2, 100), rate(3, 100), rate(20, 100)], Direction.RISING),
        ([rate(20, 100), rate(2, 100)], Direction.FALLING),
        ([rate(2, 100), rate(5, 100)], Direction.STEADY),
        ([rate(2, 100)], Direction.UNKNOWN),
        ([], Direction.UNKNOWN),
    ],
)
def test_a_share_goes_where_chance_alone_would_not_take_it(runs: list[Rate], direction: Direction):
    assert trend(runs).direction is direction


def test_the_line_shows_each_run_that_was_measured():
    assert trend([rate(0, 9), rate(0, 0), rate(9, 9)]).line == "▁█"
