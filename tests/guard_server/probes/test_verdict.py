import pytest

from guard_server.probes.result import Verdict
from guard_server.probes.sequential import Decision
from guard_server.probes.verdict import Judge
from tests.guard_server.probes.conftest import canaries, result


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        ({}, Verdict.PASSED),
        ({"asr_max": 0.1}, Verdict.PASSED),
        ({"asr_max": 0.05}, Verdict.FAILED),
        ({"asr_minus_floor_max": 0.0}, Verdict.PASSED),
        ({"asr_minus_floor_max": -0.1}, Verdict.FAILED),
        ({"clean_accuracy_min": 0.9}, Verdict.FAILED),
        ({"clean_accuracy_min": 0.8}, Verdict.PASSED),
        ({"extension_rate_min": 1.0}, Verdict.PASSED),
    ],
)
def test_a_whole_set_is_judged_by_the_point_estimate(limits: dict[str, float], verdict: Verdict):
    assert result(**limits).verdict is verdict


def test_a_limit_that_could_not_be_measured_is_not_kept():
    assert result(asr=0, floor=0, n=0, asr_max=1.0).verdict is Verdict.UNCLEAR


def test_a_broken_limit_outweighs_an_unclear_one():
    assert result(asr=5, errors=50, asr_max=0.1).verdict is Verdict.FAILED


def test_a_limit_on_a_difference_is_never_clear_early():
    judge = Judge(canaries(5, limits={"asr_max": 1.0, "asr_minus_floor_max": 0.1}))
    assert judge.decision("asr_max", "badnets") is Decision.KEPT
    assert not judge.is_clear


def test_without_limits_nothing_is_ever_clear():
    assert not Judge(canaries(5)).is_clear
