"""The line's points in a picture of 160 by 48 with an edge of 5: shares from 0 to the top are 38 high, runs 150 wide."""

import pytest

from guard_server.status.sparkline import Dot, sparkline
from p2p.metrics.rate import Rate


def rates(*hits: int, n: int = 100) -> list[Rate]:
    return [Rate(k=k, n=n) for k in hits]


def test_the_newest_run_stands_at_the_right_and_more_is_higher():
    drawn = sparkline("ASR", rates(0, 25, 50))
    assert drawn.top == 0.5
    assert drawn.dots == (Dot(5, 43), Dot(80, 24), Dot(155, 5))


def test_a_single_run_stands_at_the_right():
    assert sparkline("ASR", rates(0)).dots == (Dot(155, 43),)


@pytest.mark.parametrize(
    ("hits", "limit", "top"), [(0, None, 0.1), (10, None, 0.1), (11, None, 0.25), (0, 0.3, 0.5), (60, 0.1, 1)]
)
def test_the_top_holds_every_value_and_the_limit(hits: int, limit: float | None, top: float):
    assert sparkline("ASR", rates(hits), limit).top == top


def test_the_limit_is_as_high_as_its_share():
    assert sparkline("ASR", rates(0), 0.05).limit_y == 24
    assert sparkline("ASR", rates(0)).limit_y is None


def test_the_band_is_the_wilson_interval_cut_at_the_top():
    # 0 of 100: from 0 to 0.0370 (Wilson, 95 %); 10 of 100: up to 0.1744, beyond the top.
    band = sparkline("ASR", rates(0, 10)).band
    assert band == (Dot(5, 28.9), Dot(155, 5), Dot(155, 22.0), Dot(5, 43))


def test_it_says_in_words_what_it_shows():
    said = sparkline("ASR", rates(2, 7, 3), 0.1).words
    assert said == "ASR over 3 runs: 0.020 to 0.070, last 0.030; limit 0.100"


def test_without_a_run_there_is_no_line():
    with pytest.raises(ValueError, match="at least one run"):
        sparkline("ASR", [])
