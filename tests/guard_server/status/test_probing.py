from datetime import UTC, datetime, timedelta

from guard_server.probes.result import Verdict
from guard_server.probes.trend import Direction
from guard_server.status.probe_log import AttackRun, ProbeRun
from guard_server.status.probing import Plan, probe_status
from p2p.metrics.rate import Rate

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
PLAN = Plan(60, {"badnets": 0.1}, 0.7)
EMPTY = Rate(k=0, n=0)


def run(seconds_ago: float, hits: int = 0, right: int = 80, verdict: Verdict = Verdict.PASSED) -> ProbeRun:
    attacks = {"badnets": AttackRun(Rate(k=hits, n=100), Rate(k=1, n=100))}
    started = NOW - timedelta(seconds=seconds_ago)
    return ProbeRun(started, verdict, ("v1",), Rate(k=right, n=100), attacks)


def status(*runs: ProbeRun, up_for: float = 3600, plan: Plan = PLAN):
    return probe_status(plan, runs, NOW, NOW - timedelta(seconds=up_for))


def test_the_last_run_is_told_with_its_limits_and_where_it_goes():
    found = status(*(run(60 * ago, 1) for ago in (4, 3, 2)), run(60, 30))
    (asr,) = found.attacks
    assert (asr.latest, asr.limit, asr.is_broken, asr.runs) == (Rate(k=30, n=100), 0.1, True, 4)
    assert (asr.direction, asr.floor) == (Direction.RISING, Rate(k=1, n=100))
    assert (found.last, found.verdict, found.versions) == (
        NOW - timedelta(seconds=60),
        Verdict.PASSED,
        ("v1",),
    )


def test_a_share_at_its_limit_is_not_beyond_it():
    found = status(run(0, hits=10, right=70))
    assert not found.attacks[0].is_broken
    assert not found.clean_accuracy.is_broken
    assert status(run(0, hits=11)).attacks[0].is_broken
    assert status(run(0, right=69)).clean_accuracy.is_broken


def test_without_limits_nothing_is_beyond_one():
    found = status(run(0, hits=99, right=1), plan=Plan(60, {"badnets": None}, None))
    assert [series.is_broken for series in (*found.attacks, found.clean_accuracy)] == [False, False]


def test_probes_are_stale_after_three_intervals_without_a_verdict():
    assert not status(run(180)).is_stale
    assert status(run(181)).is_stale
    assert status(run(181), run(60, verdict=Verdict.UNCLEAR)).is_stale


def test_a_guard_that_has_just_begun_has_missed_nothing():
    assert not status(run(9_000), up_for=10).is_stale
    assert not status(up_for=180).is_stale
    assert status(up_for=181).is_stale


def test_before_the_first_run_there_are_no_figures():
    found = status()
    assert (found.last, found.verdict, found.attacks, found.clean_accuracy, found.runs) == (
        None,
        None,
        (),
        None,
        0,
    )


def test_a_run_that_measured_nothing_of_a_family_is_no_point_of_its_line():
    nothing = run(60)._replace(attacks={"badnets": AttackRun(EMPTY, EMPTY)}, clean_accuracy=EMPTY)
    found = status(run(120, 3), nothing)
    assert (found.attacks[0].runs, found.attacks[0].latest.k, found.runs) == (1, 3, 2)
