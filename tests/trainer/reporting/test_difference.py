import math

import pytest

from p2p.metrics.rate import Rate
from trainer.reporting.difference import difference


# R. G. Newcombe, Statistics in Medicine 17 (1998), table II, method 10.
@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ],
)
def test_interval_is_the_published_one(first, second, low, high):
    found = difference(Rate(k=first[0], n=first[1]), Rate(k=second[0], n=second[1]))
    assert found.interval == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_no_rows_has_no_difference():
    found = difference(Rate(k=0, n=0), Rate(k=1, n=2))
    assert math.isnan(found.value)
    assert found.interval == (-1.0, 1.0)
    assert str(found) == "-"
