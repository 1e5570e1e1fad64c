import asyncio

import httpx
from prometheus_client import CollectorRegistry, Counter, Gauge

from guard_server.middleware.in_flight import InFlightMiddleware


async def test_what_is_over_the_limit_is_told_to_come_again_and_the_place_is_given_back():
    inside, leave = asyncio.Event(), asyncio.Event()

    async def slow(scope, receive, send):
        inside.set()
        await leave.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gauge = Gauge("in_flight", "x", registry=CollectorRegistry())
    app = InFlightMiddleware(
        slow,
        limit=1,
        gauge=gauge,
        limited=Counter("limited", "x", registry=CollectorRegistry()),
        paths=frozenset({"/work"}),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard") as http:
        first = asyncio.create_task(http.get("/work"))
        await inside.wait()
        second = await http.get("/work")
        leave.set()
        assert (await first).status_code == 200
        assert (await http.get("/work")).status_code == 200
    assert second.status_code == 429
    assert second.headers["retry-after"]
    assert second.json()["error"]["code"] == "rate_limit_exceeded"
    assert gauge._value.get() == 0
