"""What the page tells of a real life cycle, a real history file and real counters, over an engine that is a fake."""

from collections.abc import Callable
from pathlib import Path

from guard_server.adapters.history import Actor
from guard_server.engine.fake import FakeEngine
from guard_server.probes.result import ProbeResult, Verdict
from guard_server.settings import GuardConfig
from guard_server.status.guard_status import MOST_ADAPTERS, GuardStatus
from guard_server.status.model import AdapterStatus, EngineState, Signature, StatusPage, VersionState
from p2p.metrics.rate import Rate
from tests.guard_server.adapters.conftest import Guarded
from tests.guard_server.conftest import make_app
from tests.guard_server.probes.conftest import make_result
from tests.guard_server.status.troubled import ENGINES, Versions

__all__ = ["make_result"]


async def page(guarded: Guarded) -> StatusPage:
    status: GuardStatus = guarded.app.state.status
    return await status.page()


async def writer(guarded: Guarded) -> AdapterStatus:
    return next(adapter for adapter in (await page(guarded)).adapters if adapter.name == "writer")


async def states(guarded: Guarded) -> list[tuple[VersionState, int]]:
    return [(one.state, one.in_flight) for one in (await writer(guarded)).versions]


async def test_versions_are_told_as_they_stand(calm: Guarded, versions: Versions):
    await calm.lifecycle.load("writer", Actor.ADMIN, str(versions("two")))
    assert await states(calm) == [(VersionState.LIVE, 0), (VersionState.STAGED, 0)]
    with calm.lifecycle._registry.hold("writer"):
        await calm.lifecycle.promote("writer", Actor.ADMIN)
        assert await states(calm) == [(VersionState.LIVE, 0), (VersionState.DRAINING, 1)]
    await calm.settled()
    assert await states(calm) == [(VersionState.LIVE, 0), (VersionState.PREVIOUS, 0)]


async def test_a_version_that_was_rolled_back_drains(calm: Guarded, versions: Versions):
    bad = await calm.serve(versions("two"))
    with calm.lifecycle._registry.hold("writer"):
        await calm.lifecycle.rollback("writer", Actor.ADMIN, "asked")
        found = (await writer(calm)).versions
    assert [(one.version == bad, one.state) for one in found] == [
        (False, VersionState.LIVE),
        (True, VersionState.DRAINING),
    ]
    refusals = (await page(calm)).refusals
    assert [(one.what, one.subject, one.actor) for one in refusals] == [("rolled back", "writer", "admin")]


async def test_a_standby_version_is_no_draining_one(in_trouble: Guarded):
    assert await states(in_trouble) == [(VersionState.LIVE, 0), (VersionState.STANDBY, 1)]


async def test_signatures_are_told(in_trouble: Guarded):
    found = {one.name: one.versions[0].signature for one in (await page(in_trouble)).adapters}
    assert found == {"writer": Signature.MISSING, "support": Signature.NOT_ASKED}


async def test_a_signature_that_is_asked_for_was_verified(calm: Guarded, tmp_path: Path):
    slot = calm.lifecycle.slot("writer")
    asked = {"policy": {"require_signature": True, "public_key": tmp_path / "key.pem"}}
    settings = type(slot.wanted).model_validate(slot.wanted.model_dump() | asked)
    slot.live = slot.live._replace(settings=settings)
    assert (await writer(calm)).versions[0].signature is Signature.VERIFIED


async def test_the_history_file_gives_the_last_probes_of_an_alias(in_trouble: Guarded):
    probes = (await writer(in_trouble)).probes
    assert (probes.verdict, probes.is_stale, probes.runs) == (Verdict.FAILED, False, 15)
    (asr,) = probes.attacks
    assert (asr.name, asr.latest, asr.limit, asr.is_broken) == ("badnets", Rate(k=6, n=60), 0.05, True)
    assert (await page(in_trouble)).history_is_read is True


async def test_without_a_file_the_runs_of_this_process_are_told(
    config: GuardConfig, tmp_path: Path, make_result: Callable[..., ProbeResult]
):
    import yaml

    from tests.guard_server.probes.conftest import canaries

    canary = tmp_path / "canary.yaml"
    canary.write_text(yaml.safe_dump(canaries(3, limits={"asr_max": 0.2}).model_dump(mode="json")))
    probes = {"adapters": [{"adapter": "support", "canary": canary}]}
    probed = GuardConfig.model_validate(config.model_dump() | {"probes": probes})
    status: GuardStatus = make_app(probed, FakeEngine(lambda *_: {})).state.status
    status._parts.probe_log.note(make_result(3, 0))
    found = await status.page()
    (support,) = (adapter for adapter in found.adapters if adapter.name == "support")
    assert (support.probes.attacks[0].latest, support.probes.attacks[0].limit) == (Rate(k=3, n=10), 0.2)
    assert (found.history_is_read, found.engines) == (None, ())


async def test_what_needs_a_look_comes_first(in_trouble: Guarded):
    assert [(one.name, one.is_fine) for one in (await page(in_trouble)).adapters] == [
        ("writer", False),
        ("support", True),
    ]


async def test_disagreements_are_told_for_each_adapter_and_together(in_trouble: Guarded):
    found = await page(in_trouble)
    assert {one.name: one.views.disagreements for one in found.adapters} == {
        "writer": Rate(k=3, n=250),
        "support": Rate(k=1, n=410),
    }
    assert found.views.disagreements == Rate(k=4, n=660)
    assert found.guard.audit == "0.05 of the requests, observe"


async def test_refusals_of_versions_gates_and_edits_are_told_the_newest_first(in_trouble: Guarded):
    found = await page(in_trouble)
    assert [(one.what, one.subject) for one in found.refusals] == [
        ("edit refused", "guard.yaml"),
        ("version refused", "writer"),
        ("version refused", "writer"),
        ("gate failed", "writer"),
    ]
    assert found.guard.config_refusal == "config"


async def test_refusals_are_bounded(in_trouble: Guarded):
    state = in_trouble.app.state
    for _ in range(30):
        await state.status.reloader.reload()
    assert len(state.status.reloader.refused) == 20
    assert len((await page(in_trouble)).refusals) == 20


async def test_engines_are_told(in_trouble: Guarded):
    first, second = (await page(in_trouble)).engines
    assert (first.name, first.state, len(first.exposures)) == (ENGINES[0], EngineState.UP, 1)
    assert (second.name, second.state, second.exposures) == (ENGINES[1], EngineState.HUNG, None)


async def test_readiness_is_told(calm: Guarded):
    readiness = calm.app.state.readiness
    assert (await page(calm)).guard[:2] == (False, "it waits for the engine's first answers")
    await readiness.check()
    assert (await page(calm)).guard.is_ready
    calm.engine.is_up = False
    assert (await page(calm)).guard[:2] == (False, "an engine is down, or has not answered lately")
    readiness.is_draining = True
    assert (await page(calm)).guard[:2] == (False, "it ends after its last request")


async def test_more_adapters_than_are_shown_are_counted(calm: Guarded):
    slot = calm.lifecycle.slot("writer")
    calm.lifecycle._slots |= {f"other-{at}": slot for at in range(MOST_ADAPTERS)}
    found = await page(calm)
    assert (len(found.adapters), found.left_out) == (MOST_ADAPTERS, 1)


async def test_to_look_changes_nothing(in_trouble: Guarded):
    before = (in_trouble.lifecycle.listed(), in_trouble.lifecycle.history.of(), set(in_trouble.engine.loaded))
    asked = len(in_trouble.engine.asked)
    await page(in_trouble)
    assert (
        in_trouble.lifecycle.listed(),
        in_trouble.lifecycle.history.of(),
        in_trouble.engine.loaded,
    ) == before
    assert len(in_trouble.engine.asked) == asked
