import pytest

from guard_server.engine.channel import Channel
from guard_server.engine.exposure import find_exposure
from tests.guard_server.engine.engines import Engine, serve


def keyed(url: str) -> Channel:
    return Channel(url, key="k")


async def test_an_engine_that_answers_without_a_key_is_told_of():
    async with serve(Engine("one"), keyed) as channel:
        (fault,) = await find_exposure(channel)
    assert "answers without a key" in fault


async def test_routes_that_its_key_does_not_cover_are_told_of_the_worst_by_name():
    engine = Engine("one", key="k", routes=("/v1/models", "/health", "/detokenize", "/invocations"))
    async with serve(engine, keyed) as channel:
        (fault,) = await find_exposure(channel)
    assert "/invocations among 2" in fault


async def test_an_engine_behind_its_key_alone_is_well():
    async with serve(Engine("one", key="k", routes=("/v1/models", "/health")), keyed) as channel:
        assert await find_exposure(channel) == []
        assert (await channel.get("/v1/models")).status == 200


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://vllm:8000", True),
        ("http://10.0.0.7", True),
        ("http://localhost.attacker.example", True),
        ("https://vllm", False),
        ("http://127.0.0.1:8000", False),
        ("http://localhost:8000", False),
        ("http://[::1]:8000", False),
    ],
)
def test_a_link_in_clear_is_known(url: str, plain: bool):
    assert Channel(url).is_plain_network is plain
