import asyncio
import itertools
import threading

from prometheus_client import CollectorRegistry, Counter, Gauge

from guard_server.exposition import Exposition


async def test_the_text_has_no_series_but_the_metrics_own():
    registry = CollectorRegistry()
    Counter("asked_total", "How often.", registry=registry).inc(3)
    text = (await Exposition(registry).text()).decode()
    assert text == "# HELP asked_total How often.\n# TYPE asked_total counter\nasked_total 3.0\n"


async def test_the_event_loop_goes_on_while_the_text_is_made():
    registry, turned = CollectorRegistry(), threading.Event()
    slow = Gauge("slow", "Waits for the loop.", registry=registry)
    slow.set_function(lambda: turned.wait(5))
    made = asyncio.create_task(Exposition(registry).text())
    await asyncio.sleep(0.01)
    turned.set()
    assert b"slow 1.0" in await made


async def test_scrapes_at_the_same_time_cost_one():
    registry, count = CollectorRegistry(), itertools.count(1)
    Gauge("seen", "Counts.", registry=registry).set_function(lambda: next(count))
    exposition = Exposition(registry)
    first = await asyncio.gather(*(exposition.text() for _ in range(5)))
    assert len(set(first)) == 1
    assert await exposition.text() != first[0]


async def test_a_client_that_goes_away_ends_nobody_elses_scrape():
    registry, free = CollectorRegistry(), threading.Event()
    Gauge("slow", "Waits.", registry=registry).set_function(lambda: free.wait(5))
    exposition = Exposition(registry)
    gone, stays = (asyncio.create_task(exposition.text()) for _ in range(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    free.set()
    assert b"slow 1.0" in await stays
