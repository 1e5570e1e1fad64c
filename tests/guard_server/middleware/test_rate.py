import hashlib

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from guard_server.middleware.auth import AuthMiddleware
from guard_server.middleware.probe_keys import ProbeKeyMiddleware
from guard_server.middleware.rate import RateMiddleware, TokenBucket


class Limited:
    """One request a second and two at once, for each of two keys; the clock stands still unless moved."""

    def __init__(self) -> None:
        self.now = 100.0
        self.counter = Counter("limited", "x", registry=CollectorRegistry())
        limited = RateMiddleware(
            passes, 1, 2, limited=self.counter, paths=frozenset({"/work"}), clock=lambda: self.now
        )
        digests = tuple(hashlib.sha256(key).digest() for key in (b"one", b"two"))
        self.transport = httpx.ASGITransport(AuthMiddleware(limited, digests))

    async def ask(self, key: str = "one", path: str = "/work") -> httpx.Response:
        async with httpx.AsyncClient(transport=self.transport, base_url="http://guard") as http:
            return await http.get(path, headers={"authorization": f"Bearer {key}"})


async def passes(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_more_than_the_burst_is_told_when_to_come_again():
    guard = Limited()
    found = [await guard.ask() for _ in range(3)]
    assert [reply.status_code for reply in found] == [200, 200, 429]
    assert found[2].headers["retry-after"] == "1"
    assert found[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert guard.counter._value.get() == 1


async def test_each_key_has_its_own():
    guard = Limited()
    assert [(await guard.ask()).status_code for _ in range(3)][-1] == 429
    assert (await guard.ask("two")).status_code == 200


async def test_a_request_is_gained_each_second_and_no_more_than_the_burst():
    guard = Limited()
    for _ in range(2):
        await guard.ask()
    guard.now += 1
    assert [(await guard.ask()).status_code for _ in range(2)] == [200, 429]
    guard.now += 1000
    assert [(await guard.ask()).status_code for _ in range(3)] == [200, 200, 429]


async def test_other_paths_are_free():
    guard = Limited()
    assert {(await guard.ask(path="/v1/models")).status_code for _ in range(9)} == {200}


@pytest.mark.parametrize(("rate", "wait"), [(2, 0.5), (0.1, 10)])
def test_the_wait_is_until_the_next_request_is_gained(rate: float, wait: float):
    bucket = TokenBucket(rate, 1, now=0)
    assert bucket.take(0) == 0
    assert bucket.take(0) == pytest.approx(wait)


def test_a_clock_that_goes_back_takes_nothing():
    bucket = TokenBucket(1, 1, now=100)
    assert bucket.take(100) == 0
    assert bucket.take(50) == pytest.approx(1)
    assert bucket.take(51) == 0


async def test_probes_are_not_counted():
    limited = Counter("limited", "x", registry=CollectorRegistry())
    app = ProbeKeyMiddleware(
        RateMiddleware(passes, 1, 1, limited=limited, paths=frozenset({"/work"}), clock=lambda: 0.0),
        (hashlib.sha256(b"prober").digest(),),
        frozenset({"/work"}),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard") as http:
        asked = [await http.get("/work", headers={"authorization": "Bearer prober"}) for _ in range(3)]
    assert {reply.status_code for reply in asked} == {200}
