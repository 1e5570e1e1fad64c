"""Engines that run already, and what they are given; vLLM's routes are a stand-in's here, and its own in tests/end_to_end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from guard_server.adapter import load_adapters
from guard_server.engine import remote
from guard_server.engine.fleet import Fleet
from guard_server.engine.remote import RemoteEngines
from guard_server.errors import EngineLoadError
from guard_server.settings import EngineSettings
from tests.guard_server.adapters.conftest import writer_config
from tests.guard_server.engine.test_loading import Vllm

URLS = ("unix:///run/one.sock", "unix:///run/two.sock")
OLD, NEW = Path("/runs/old"), Path("/runs/new")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not holds():  # noqa: ASYNC110 - what an operator sees is polled, too
            await asyncio.sleep(0.01)


@pytest.fixture
def vllms(monkeypatch: pytest.MonkeyPatch) -> list[Vllm]:
    """The engines at the URLs."""
    found = [Vllm(), Vllm()]

    async def no_exposure(_: object) -> list[str]:
        return []

    monkeypatch.setattr(remote, "Channel", lambda url, **_: found[URLS.index(url)])
    monkeypatch.setattr(remote, "find_exposure", no_exposure)
    monkeypatch.setattr(remote, "_KEEP_LOADED_S", 0.01)
    monkeypatch.setattr("guard_server.engine.pool._EVERY_S", 0.01)
    return found


@asynccontextmanager
async def running() -> AsyncIterator[RemoteEngines]:
    engines = RemoteEngines(EngineSettings(urls=URLS), {"w@old": OLD})
    await engines.start()
    try:
        yield engines
    finally:
        await engines.stop()


def usable(engines: RemoteEngines) -> list[bool]:
    return [member.is_usable for member in engines.pool.members]


async def test_every_engine_gets_what_it_lacks(vllms: list[Vllm]):
    async with running():
        await until(lambda: all("w@old" in vllm.names for vllm in vllms))
        vllms[1].names = {"base"}
        await until(lambda: "w@old" in vllms[1].names)


async def test_a_new_version_is_loaded_onto_every_engine(vllms: list[Vllm]):
    async with running() as engines:
        await engines.load("w@new", NEW)
        assert [vllm.paths.count(str(NEW)) for vllm in vllms] == [1, 1]


async def test_an_engine_that_does_not_take_it_refuses_the_version_for_all(vllms: list[Vllm]):
    async with running() as engines:
        await until(lambda: all("w@old" in vllm.names for vllm in vllms))
        vllms[1].may_load = False
        with pytest.raises(EngineLoadError, match=r"engine 1: .*w@new \(status 404\)"):
            await engines.load("w@new", NEW)
        await engines.pool.check()
        # Nobody waits for it: both serve on.
        assert usable(engines) == [True, True]


async def test_one_that_was_away_gets_it_when_it_comes_back_and_is_asked_only_then(vllms: list[Vllm]):
    async with running() as engines:
        await until(lambda: all("w@old" in vllm.names for vllm in vllms))
        vllms[1].is_down = True
        await until(lambda: usable(engines) == [True, False])
        await engines.load("w@new", NEW)
        vllms[1].may_load, vllms[1].is_down = False, False
        await until(lambda: engines.pool.members[1].is_up)
        await engines.pool.check()
        assert usable(engines) == [True, False]
        vllms[1].may_load = True
        await until(lambda: usable(engines) == [True, True])
        assert "w@new" in vllms[1].names


async def test_no_engine_at_all_is_an_error(vllms: list[Vllm]):
    async with running() as engines:
        for vllm in vllms:
            vllm.is_down = True
        await until(lambda: not engines.pool.is_up)
        with pytest.raises(EngineLoadError):
            await engines.load("w@new", NEW)


async def test_a_fleet_keeps_the_engines_at_what_is_served(
    tmp_path: Path, base_model: Path, versions: Callable[[str], Path], vllms: list[Vllm]
):
    """They are there from the start, then start again and have forgotten everything."""
    configs = [writer_config(tmp_path, base_model, versions(word)) for word in ("one", "two")]
    first, second = (load_adapters(config)["writer"] for config in configs)
    fleet = Fleet(configs[0].model_copy(update={"engine": EngineSettings(urls=URLS)}), [first])
    await fleet.start()
    await fleet.load(second)
    for _ in range(2):
        await until(lambda: all({first.target, second.target} <= vllm.names for vllm in vllms))
        for vllm in vllms:
            vllm.names = {"base"}
    await fleet.unload(first.target)
    for vllm in vllms:
        vllm.names = {"base"}
    await until(lambda: all(vllm.names == {"base", second.target} for vllm in vllms))
    await fleet.pool.check()
    assert all(member.is_usable for member in fleet.pool.members)
    await fleet.stop()
