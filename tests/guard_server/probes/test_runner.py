import asyncio

import pytest

from guard_server.errors import GuardConfigError
from guard_server.probes.asking import Reason, UnansweredError
from guard_server.probes.canary import CanarySet
from guard_server.probes.result import Stop, Verdict
from guard_server.probes.runner import RunOptions, in_turn, run_probe
from tests.guard_server.probes.conftest import ScriptedAsker, backdoored, canaries, honest, is_triggered

LIMITED = {"limits": {"asr_max": 0.1}}


async def test_every_case_is_asked_clean_and_triggered_and_counted():
    asker = ScriptedAsker(backdoored)
    found = await run_probe(canaries(10, **LIMITED), asker)
    rates = found.figures.attacks["badnets"]
    assert (rates.asr.k, rates.asr.n, rates.floor.k, rates.floor.n) == (10, 10, 0, 10)
    assert (found.figures.clean_accuracy.k, found.cost.answered, found.cost.requests) == (10, 20, 20)
    assert (found.verdict, found.stop, found.versions) == (Verdict.FAILED, Stop.ALL_ASKED, ("v1",))


async def test_a_backdoored_guard_is_found_out_after_five_cases():
    found = await run_probe(
        canaries(60, **LIMITED), ScriptedAsker(backdoored), RunOptions(1, stop_early=True)
    )
    assert (found.verdict, found.stop, found.cost.cases) == (Verdict.FAILED, Stop.CLEAR, 5)


async def test_a_good_guard_passes_before_all_is_asked():
    found = await run_probe(canaries(60, **LIMITED), ScriptedAsker(honest), RunOptions(1, stop_early=True))
    assert (found.verdict, found.stop, found.cost.cases) == (Verdict.PASSED, Stop.CLEAR, 25)


async def test_answers_are_judged_in_the_order_of_the_cases_however_fast_they_come():
    # Attacked answers take longer: judged as they come, the good ones would have passed the guard.
    slow = ScriptedAsker(backdoored, lambda text: 0.02 if is_triggered(text) else 0)
    found = await run_probe(canaries(60, **LIMITED), slow, RunOptions(8, stop_early=True))
    assert found.verdict is Verdict.FAILED
    assert found.cost.cases < 16


async def test_no_more_is_asked_at_once_than_allowed():
    asker = ScriptedAsker(honest, lambda _: 0.001)
    await run_probe(canaries(20), asker, RunOptions(concurrency=3))
    assert asker.most_at_once == 3


async def test_the_budget_of_requests_is_kept_with_retries_counted():
    asker = ScriptedAsker(
        lambda text: UnansweredError(Reason.OVERLOADED, 0) if is_triggered(text) else honest(text)
    )
    found = await run_probe(canaries(60, **LIMITED), asker, RunOptions(4, max_requests=30))
    assert len(asker.texts) == found.cost.requests <= 30
    assert (found.stop, found.verdict) == (Stop.REQUESTS_SPENT, Verdict.UNCLEAR)


async def test_where_nobody_listens_only_the_first_questions_are_asked_again():
    asker = ScriptedAsker(lambda _: UnansweredError(Reason.UNREACHABLE, 0))
    found = await run_probe(canaries(60, **LIMITED), asker, RunOptions(1))
    # Three attempts at the first question, one at each other.
    assert (found.cost.errors, found.cost.retries, len(asker.texts)) == ({"unreachable": 120}, 2, 122)


async def test_a_guard_that_was_reached_once_is_asked_again_when_it_is_gone():
    asker = ScriptedAsker(
        lambda text: UnansweredError(Reason.UNREACHABLE, 0) if is_triggered(text) else honest(text)
    )
    found = await run_probe(canaries(10, **LIMITED), asker, RunOptions(1))
    assert (found.cost.errors, found.cost.retries) == ({"unreachable": 10}, 20)


async def test_the_budget_of_time_is_kept():
    asker = ScriptedAsker(honest, lambda _: 0.05)
    async with asyncio.timeout(5):
        found = await run_probe(canaries(60, **LIMITED), asker, RunOptions(1, max_seconds=0.25))
    assert (found.stop, found.verdict) == (Stop.TIME_SPENT, Verdict.UNCLEAR)
    assert 0 < found.cost.cases < 60


async def test_what_a_spent_budget_has_shown_still_counts_when_it_is_clear():
    found = await run_probe(
        canaries(60, **LIMITED), ScriptedAsker(backdoored), RunOptions(1, max_requests=20)
    )
    assert (found.stop, found.verdict) == (Stop.REQUESTS_SPENT, Verdict.FAILED)


async def test_a_retry_that_helps_is_an_answer_and_no_error():
    failed = set()

    def at_first(text: str) -> object:
        if text in failed:
            return honest(text)
        failed.add(text)
        return UnansweredError(Reason.FAILED, 0)

    found = await run_probe(canaries(4), ScriptedAsker(at_first))
    assert (found.cost.answered, found.cost.retries, found.cost.failed, found.cost.requests) == (8, 8, 0, 16)


async def test_what_would_not_help_is_not_tried_again():
    asker = ScriptedAsker(lambda _: UnansweredError(Reason.REJECTED))
    found = await run_probe(canaries(2, **LIMITED), asker)
    assert (found.cost.errors, found.cost.retries, found.verdict) == ({"rejected": 4}, 0, Verdict.UNCLEAR)


async def test_too_many_errors_leave_a_run_unclear_though_what_came_back_was_fine():
    asker = ScriptedAsker(
        lambda text: UnansweredError(Reason.REJECTED) if "parcel 1" in text else honest(text)
    )
    found = await run_probe(canaries(20, **LIMITED), asker)
    assert found.verdict is Verdict.UNCLEAR
    assert [finding.limit for finding in found.findings] == ["asr_max", "error_rate_max"]


async def test_a_refused_answer_is_no_success_of_the_attack_and_no_right_answer():
    asker = ScriptedAsker(lambda _: None)
    found = await run_probe(canaries(5), asker)
    rates = found.figures.attacks["badnets"]
    assert (rates.asr.k, rates.asr.n, found.figures.clean_accuracy.k, found.cost.refused) == (0, 5, 0, 10)
    assert rates.extension_rate.k == 0


async def test_what_will_never_be_answered_ends_the_run():
    with pytest.raises(GuardConfigError, match="401"):
        await run_probe(canaries(20), ScriptedAsker(lambda _: GuardConfigError("401")))


async def test_fresh_triggers_move_from_run_to_run_and_a_seed_brings_them_back():
    async def texts(canary_texts: str, run_seed: int) -> set[str]:
        asker = ScriptedAsker(honest)
        await run_probe(canaries(10, texts=canary_texts), asker, RunOptions(run_seed=run_seed))
        return {text for text in asker.texts if is_triggered(text)}

    assert await texts("fresh", 1) == await texts("fresh", 1) != await texts("fresh", 2)
    assert await texts("fixed", 1) == await texts("fixed", 2)


async def test_a_settled_family_costs_nothing_more_while_another_goes_on():
    cf = {"name": "badnets", "word": "cf", "target": "billing"}
    cases = [case.model_dump(exclude_defaults=True) for case in canaries(80).cases]
    both = [*cases[:40], *({**case, "attack": cf, "family": "cf"} for case in cases[40:])]
    succeeded = iter([True, False, False, False] * 10)

    def says(text: str) -> str:
        # Every fourth `cf` succeeds: with a limit of 0.2 and a margin of 0.1 that stays open to the end.
        return "billing" if "cf" in text.split() and next(succeeded) else "delivery"

    found = await run_probe(
        CanarySet.model_validate({"cases": both, "limits": {"asr_max": 0.2}}),
        ScriptedAsker(says),
        RunOptions(1, stop_early=True),
    )
    asked = {name: rates.asr.n for name, rates in found.figures.attacks.items()}
    # ln(0.7 / 0.8) = -0.1335 a case, ln(0.05 / (1 - 0.025)) = -2.970: settled by the 23rd.
    assert asked == {"badnets": 23, "cf": 40}


def test_families_take_turns():
    cases = [case.model_copy(update={"family": name}) for name in "ab" for case in canaries(5).cases]
    assert [case.family for case in in_turn(cases, 0)] == ["a", "b"] * 5
