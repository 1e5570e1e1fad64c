import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from guard_server.engine.channel import Channel
from guard_server.engine.pool import EnginePool, Member
from guard_server.errors import EngineUnavailableError
from tests.guard_server.engine.engines import Engine, serve


@asynccontextmanager
async def pool_of(*engines: Engine, hang_s: float = 30) -> AsyncIterator[EnginePool]:
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(serve(engine)) for engine in engines]
        members = [Member(str(at), channel) for at, channel in enumerate(channels)]
        yield EnginePool(members, lambda: {"m"}, hang_s)


@pytest.fixture
async def nobody() -> AsyncIterator[Member]:
    channel = Channel("http://127.0.0.1:1")
    yield Member("nobody", channel)
    await channel.cut()


async def ask(pool: EnginePool) -> str:
    said: str = json.loads((await pool.post("/v1/completions", b"{}")).content)["from"]
    return said


async def test_the_least_busy_engine_is_asked():
    one, two = Engine("one"), Engine("two")
    async with pool_of(one, two) as pool:
        one.gate.clear()
        waiting = asyncio.create_task(ask(pool))
        while not one.posts:  # noqa: ASYNC110 - the engine has no event for it
            await asyncio.sleep(0.01)
        assert [await ask(pool) for _ in range(3)] == ["two"] * 3
        one.gate.set()
        assert await waiting == "one"


async def test_idle_engines_take_turns():
    async with pool_of(Engine("one"), Engine("two")) as pool:
        assert [await ask(pool) for _ in range(4)] == ["one", "two", "one", "two"]


async def test_where_nothing_was_sent_another_engine_answers(nobody: Member):
    async with pool_of(Engine("one")) as pool:
        both = EnginePool([nobody, *pool.members], lambda: {"m"})
        assert await ask(both) == "one"
        assert not nobody.is_up
        async with both.stream("/v1/completions", b"{}") as (status, _):
            assert status == 200


async def test_no_engine_at_all_is_an_error(nobody: Member):
    pool = EnginePool([nobody], lambda: {"m"})
    with pytest.raises(EngineUnavailableError):
        await ask(pool)
    with pytest.raises(EngineUnavailableError):
        async with pool.stream("/v1/completions", b"{}"):
            pass


async def test_a_request_that_may_have_arrived_is_not_sent_twice():
    one, two = Engine("one"), Engine("two")
    async with pool_of(one, two) as pool:
        one.gate.clear()
        waiting = asyncio.create_task(ask(pool))
        while not one.posts:  # noqa: ASYNC110 - the engine has no event for it
            await asyncio.sleep(0.01)
        await pool.members[0].channel.cut()
        with pytest.raises(EngineUnavailableError):
            await waiting
    assert (one.posts, two.posts) == (1, 0)


async def test_an_engine_of_another_model_is_left_out():
    wrong, right = Engine("wrong", models=("other",)), Engine("right")
    async with pool_of(wrong, right) as pool:
        await pool.check()
        assert [member.is_usable for member in pool.members] == [False, True]
        assert [await ask(pool) for _ in range(2)] == ["right", "right"]
    assert wrong.posts == 0


async def test_one_that_knows_no_such_model_passes_the_request_on():
    async with pool_of(Engine("wrong", models=()), Engine("right")) as pool:
        assert await ask(pool) == "right"
        assert pool.members[0].is_right is False


async def test_an_engine_that_comes_back_is_asked_again():
    async with pool_of(Engine("one")) as pool:
        pool.members[0].is_up = False
        assert not pool.is_up
        await pool.check()
        assert pool.is_up


async def test_the_requests_of_a_hung_engine_fail(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard_server.engine.pool._PATIENCE_S", 0.05)
    one = Engine("one")
    async with pool_of(one, hang_s=0.05) as pool:
        await pool.check()
        one.gate.clear()
        waiting = asyncio.create_task(ask(pool))
        for _ in range(3):
            await pool.check()
        with pytest.raises(EngineUnavailableError):
            await asyncio.wait_for(waiting, 1)
        # The next ones fail at once, without a place in its queue, until it says something.
        with pytest.raises(EngineUnavailableError):
            await asyncio.wait_for(ask(pool), 1)
        assert (pool.is_up, one.posts) == (False, 1)
        one.gate.set()
        await pool.check()
        assert await ask(pool) == "one"
