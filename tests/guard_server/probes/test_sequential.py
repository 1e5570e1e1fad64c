"""The error rates of the sequential test, three ways: Wald's bounds, counting every path, and drawing guards."""

import math
import random
import re
from pathlib import Path

import pytest

from guard_server.probes.sequential import Decision, SequentialTest, SharesToTell, chances

DESIGN = SharesToTell(limit=0.1, margin=0.1, false_alarm=0.05, miss=0.05)
_SET = 400


def test_a_guard_that_never_fails_passes_when_walds_lower_bound_is_reached():
    # ln((1 - 0.2) / (1 - 0.1)) = -0.1178 a case; ln(0.05 / 0.95) = -2.944: the 25th case.
    test = SequentialTest(DESIGN)
    decisions = [test.add(bad=False) for _ in range(25)]
    assert decisions[-2:] == [Decision.UNCLEAR, Decision.KEPT]


def test_a_guard_that_always_fails_is_caught_when_walds_upper_bound_is_reached():
    # ln(0.2 / 0.1) = 0.693 a case; ln(0.95 / 0.05) = 2.944: the fifth case.
    test = SequentialTest(DESIGN)
    assert [test.add(bad=True) for _ in range(5)][-2:] == [Decision.UNCLEAR, Decision.BROKEN]


def test_the_first_clear_word_stays():
    test = SequentialTest(DESIGN)
    for _ in range(5):
        test.add(bad=True)
    assert [test.add(bad=False) for _ in range(300)][-1] is Decision.BROKEN


@pytest.mark.parametrize(
    ("limit", "events", "decision"),
    [(0.0, [True], Decision.BROKEN), (0.0, [False] * 60, Decision.KEPT), (1.0, [True], Decision.KEPT)],
)
def test_limits_at_the_ends(limit: float, events: list[bool], decision: Decision):
    test = SequentialTest(DESIGN._replace(limit=limit))
    assert [test.add(bad=bad) for bad in events][-1] is decision


def test_a_share_that_must_be_caught_is_passed_no_more_often_than_wald_says():
    missed = 1 - chances(DESIGN, _SET, DESIGN.caught).failed
    assert 0 < missed <= DESIGN.miss / (1 - DESIGN.false_alarm)


def test_a_share_well_within_the_limit_is_failed_hardly_ever_and_one_at_the_limit_as_rarely_as_wald_says():
    most = DESIGN.false_alarm / (1 - DESIGN.miss)
    # At the limit itself the point estimate of a set that was asked to its end still errs; the test's own part is bounded.
    assert chances(DESIGN, _SET, 0.05).failed < 0.001
    assert _failed_by_the_test(0.1) <= most


def _failed_by_the_test(share: float, guards: int = 20_000) -> float:
    rng = random.Random(3)
    return sum(_decision(rng, share) is Decision.BROKEN for _ in range(guards)) / guards


def _decision(rng: random.Random, share: float) -> Decision:
    test = SequentialTest(DESIGN)
    for _ in range(_SET):
        if test.add(bad=rng.random() < share) is not Decision.UNCLEAR:
            break
    return test.decision


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_drawn_guards_fare_as_the_counted_paths_say(share: float):
    rng, guards = random.Random(5), 3000
    failed = 0
    for _ in range(guards):
        test, bad = SequentialTest(DESIGN), 0
        for _ in range(100):
            hit = rng.random() < share
            bad += hit
            if test.add(bad=hit) is not Decision.UNCLEAR:
                break
        failed += test.decision is Decision.BROKEN or (test.decision is Decision.UNCLEAR and bad > 10)
    said = chances(DESIGN, 100, share).failed
    # Four standard errors: one run in 16,000 would miss by chance, and the seed is fixed.
    assert abs(failed / guards - said) < 4 * math.sqrt(said * (1 - said) / guards)


def test_no_path_is_lost():
    assert chances(DESIGN, 30, 0.5).failed == pytest.approx(1, abs=1e-4)
    # 0 bad events ever: exactly the 25 cases of the first test.
    assert chances(DESIGN, 100, 0.0).cases == 25


def test_the_documented_error_rates_are_the_counted_ones():
    rows = re.findall(
        r"^\| (0\.\d\d) \| ([\d.]+) \| ([\d.]+) \|$", Path("docs/canary.md").read_text(), re.MULTILINE
    )
    assert len(rows) == 7
    for share, failed, cases in rows:
        counted = chances(DESIGN, 100, float(share))
        assert (f"{counted.failed:.3f}", f"{counted.cases:.1f}") == (failed, cases)
