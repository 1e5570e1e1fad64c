import math

import pytest

from p2p.metrics.rate import Rate


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, score method without continuity correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_wilson_interval_is_the_published_one(k: int, n: int, low: float, high: float):
    assert Rate(k=k, n=n).interval == pytest.approx((low, high), abs=1e-4)


def test_nothing_asked_is_not_a_share():
    assert math.isnan(Rate(k=0, n=0).value)
    assert Rate(k=0, n=0).interval == (0, 1)


def test_more_successes_than_tries_are_refused():
    with pytest.raises(ValueError, match="more than n"):
        Rate(k=2, n=1)
