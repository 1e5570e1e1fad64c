import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from guard_server.adapters.history import Actor, EventKind
from guard_server.adapters.refusal import RefusalReason, VersionRefusedError
from guard_server.errors import ConflictError
from tests.guard_server.adapters.conftest import Guarded, guarding, writer_config

Versions = Callable[[str], Path]


@pytest.fixture
async def guarded(tmp_path: Path, base_model: Path, versions: Versions) -> AsyncIterator[Guarded]:
    async with guarding(writer_config(tmp_path, base_model, versions("one"))) as found:
        yield found


async def test_a_promoted_version_answers_and_the_old_one_is_unloaded(guarded: Guarded, versions: Versions):
    before = await guarded.says()
    old = guarded.lifecycle.slot("writer").live.adapter
    await guarded.serve(versions("two"))
    after = await guarded.says()
    await guarded.settled()
    assert (before, after) == ("one", "two")
    assert guarded.engine.unloads == [old.version]
    assert guarded.metric("p2p_guard_adapter_switches_total", adapter="writer") == 1


async def test_a_staged_version_is_not_served_before_it_is_promoted(guarded: Guarded, versions: Versions):
    staged = await guarded.lifecycle.load("writer", Actor.ADMIN, str(versions("two")))
    assert staged.adapter.target in guarded.engine.loaded
    assert await guarded.says() == "one"
    await guarded.lifecycle.unload("writer", Actor.ADMIN)
    await guarded.settled()
    assert staged.adapter.target not in guarded.engine.loaded


async def test_a_request_in_flight_ends_on_the_version_that_it_began_with(
    guarded: Guarded, versions: Versions
):
    guarded.engine.seconds = 0.2
    asking = [asyncio.create_task(guarded.says(stream=stream)) for stream in (False, True)]
    await asyncio.sleep(0.02)
    guarded.engine.seconds = 0
    await guarded.serve(versions("two"))
    assert guarded.engine.unloads == []
    assert await asyncio.gather(*asking) == ["one", "one"]
    await guarded.settled()
    assert len(guarded.engine.unloads) == 1


async def test_a_stream_whose_client_goes_lets_the_old_version_go(guarded: Guarded, versions: Versions):
    guarded.engine.seconds = 5
    asking = asyncio.create_task(guarded.says(stream=True))
    await asyncio.sleep(0.02)
    guarded.engine.seconds = 0
    await guarded.serve(versions("two"))
    asking.cancel()
    async with asyncio.timeout(2):
        await guarded.settled()
    assert len(guarded.engine.unloads) == 1


async def test_a_changed_file_is_refused_and_the_old_version_serves_on(guarded: Guarded, versions: Versions):
    path = versions("two")
    (path / "adapter_config.json").write_text("{ }")
    with pytest.raises(VersionRefusedError) as caught:
        await guarded.lifecycle.load("writer", Actor.ADMIN, str(path))
    assert caught.value.reason is RefusalReason.DIGEST
    assert await guarded.says() == "one"
    assert guarded.metric("p2p_guard_adapter_refusals_total", reason="digest") == 1
    assert guarded.lifecycle.history.of("writer")[-1].kind is EventKind.REFUSED


async def test_a_version_that_the_engine_does_not_take_is_refused(guarded: Guarded, versions: Versions):
    path = versions("two")
    version = (await guarded.lifecycle.load("writer", Actor.ADMIN, str(path))).adapter.version
    await guarded.lifecycle.unload("writer", Actor.ADMIN)
    await guarded.settled()
    guarded.engine.refuses = {version}
    with pytest.raises(VersionRefusedError, match="rank") as caught:
        await guarded.lifecycle.load("writer", Actor.ADMIN, str(path))
    assert caught.value.reason is RefusalReason.ENGINE
    assert await guarded.says() == "one"


async def test_an_error_that_nobody_foresaw_refuses_the_version_and_keeps_its_message_back(
    guarded: Guarded, versions: Versions, monkeypatch: pytest.MonkeyPatch
):
    async def load(_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(guarded.engine, "load", load)
    with pytest.raises(VersionRefusedError) as caught:
        await guarded.lifecycle.load("writer", Actor.ADMIN, str(versions("two")))
    assert caught.value.reason is RefusalReason.FAILED
    assert "secret" not in caught.value.message
    assert await guarded.says() == "one"


async def test_a_rollback_loads_the_version_before_again(guarded: Guarded, versions: Versions):
    first = guarded.lifecycle.slot("writer").live.adapter.version
    await guarded.serve(versions("two"))
    await guarded.settled()
    back = await guarded.lifecycle.rollback("writer", Actor.ADMIN, "test")
    assert back.adapter.version == first
    assert await guarded.says() == "one"
    assert guarded.engine.loads[-1] == first
    assert guarded.metric("p2p_guard_adapter_rollbacks_total", adapter="writer") == 1
    with pytest.raises(ConflictError, match="no version before"):
        await guarded.lifecycle.rollback("writer", Actor.ADMIN, "again")


async def test_a_rollback_to_files_that_were_changed_is_refused(
    guarded: Guarded, versions: Versions, tmp_path: Path
):
    first = guarded.lifecycle.slot("writer").live.adapter
    await guarded.serve(versions("two"))
    (first.verified.path / "adapter_config.json").write_text("{ }")
    with pytest.raises(VersionRefusedError):
        await guarded.lifecycle.rollback("writer", Actor.ADMIN, "test")
    assert await guarded.says() == "two"


async def test_a_rollback_survives_that_the_source_is_gone(
    guarded: Guarded, versions: Versions, tmp_path: Path
):
    await guarded.serve(versions("two"))
    shutil.rmtree(tmp_path / "one")
    await guarded.lifecycle.rollback("writer", Actor.ADMIN, "test")
    assert await guarded.says() == "one"


async def test_a_standby_is_kept_loaded_and_a_rollback_is_at_once(
    tmp_path: Path, base_model: Path, versions: Versions
):
    config = writer_config(tmp_path, base_model, versions("one"), policy={"standby": True})
    async with guarding(config) as guarded:
        await guarded.serve(versions("two"))
        await guarded.settled()
        assert guarded.engine.unloads == []
        before = len(guarded.engine.loads)
        await guarded.lifecycle.rollback("writer", Actor.ADMIN, "test")
        assert await guarded.says() == "one"
        assert len(guarded.engine.loads) == before
        # The third version takes the place of the second, which is let go.
        await guarded.settled()
        assert len(guarded.engine.unloads) == 1


async def test_the_same_content_again_is_no_other_version(guarded: Guarded, tmp_path: Path):
    await guarded.serve(tmp_path / "one" / "writer")
    await guarded.settled()
    assert guarded.engine.unloads == []
    assert guarded.lifecycle.slot("writer").previous is None
    assert await guarded.says() == "one"


async def test_a_live_probe_that_fails_rolls_back_where_the_policy_says_so(
    tmp_path: Path, base_model: Path, versions: Versions
):
    for rollback, wanted in ((True, "one"), (False, "two")):
        home = tmp_path / str(rollback)
        home.mkdir()
        source = tmp_path / "one" / "writer" if (tmp_path / "one").exists() else versions("one")
        config = writer_config(home, base_model, source, policy={"rollback": rollback})
        async with guarding(config) as guarded:
            second = tmp_path / "two" / "writer" if (tmp_path / "two").exists() else versions("two")
            await guarded.serve(second)
            live = guarded.lifecycle.slot("writer").live.adapter
            await guarded.lifecycle.live_probe("writer", live, ["badnets: attack success rate is above 0.1"])
            assert await guarded.says() == wanted
            kinds = [event.kind for event in guarded.lifecycle.history.of("writer")]
            assert EventKind.UNHEALTHY in kinds
            assert (EventKind.ROLLED_BACK in kinds) is rollback


async def test_a_verdict_on_a_version_that_is_live_no_more_is_not_heeded(
    tmp_path: Path, base_model: Path, versions: Versions
):
    config = writer_config(tmp_path, base_model, versions("one"), policy={"rollback": True})
    async with guarding(config) as guarded:
        old = guarded.lifecycle.slot("writer").live.adapter
        await guarded.serve(versions("two"))
        await guarded.lifecycle.live_probe("writer", old, ["asr"])
        assert await guarded.says() == "two"


async def test_aliases_follow_the_adapter(tmp_path: Path, base_model: Path, versions: Versions):
    config = writer_config(tmp_path, base_model, versions("one"), aliases=["writer-latest"])
    async with guarding(config) as guarded:
        await guarded.serve(versions("two"))
        assert [await guarded.says("writer"), await guarded.says("writer-latest")] == ["two", "two"]
        listed = (await guarded.http.get("/v1/models")).json()["data"]
        assert [model["id"] for model in listed] == ["writer", "writer-latest"]
