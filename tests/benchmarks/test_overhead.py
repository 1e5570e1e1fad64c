"""How rates are compared: round by round, and with what an engine's place in the order does taken out."""

import asyncio
import json

import pytest

from benchmarks.load import load
from benchmarks.merged_copy import BASE_MODEL, MERGED, over_both
from benchmarks.serving_bed import client_request
from benchmarks.vllm_overhead import Row, Turn, against_undefended, change, never_alike, percent, summary


def turns(*rates: float) -> list[Turn]:
    return [Turn(rate, 1000 / rate, 1.0, 0) for rate in rates]


def test_a_change_is_the_mean_of_the_rounds_and_a_machine_that_slows_down_is_no_change():
    assert percent(change(turns(10, 5, 2), turns(10, 5, 2))) == pytest.approx((0, 0, 0))
    middle, low, high = percent(change(turns(11, 5.5, 2.2), turns(10, 5, 2)))
    assert (middle, low, high) == pytest.approx((10, 10, 10))


def test_rows_are_compared_with_the_first_of_their_task_and_concurrency():
    rows = [
        Row(task, at_once, subject, turns(rate, rate))
        for task, at_once, first in (("label", 1, 4.0), ("label", 8, 8.0), ("text", 1, 2.0))
        for subject, rate in (("straight", first), ("guard", first / 2))
    ]
    found = {(one["task"], one["at_once"], one["subject"]): one["change"] for one in summary(rows)}
    assert {tuple(found[row[:3]]) for row in rows if row.subject == "guard"} == {(-50.0, -50.0, -50.0)}
    assert {tuple(found[row[:3]]) for row in rows if row.subject == "straight"} == {(0.0, 0.0, 0.0)}


def test_guarded_labels_are_compared_with_undefended_ones_of_their_task():
    rows = [
        Row(task, 1, subject, turns(rate, rate))
        for task, subject, rate in (
            ("label", "as the guard asks", 5.0),
            ("label", "through the guard", 6.0),
            ("label", "without a defence, one token", 8.0),
            ("label", "without a defence, to its end", 4.0),
            ("text", "as the guard asks", 1.0),
            ("text", "through the guard", 1.0),
        )
    ]
    assert against_undefended(list(summary(rows))).splitlines()[2:] == ["| label | 1 | +50 % | -25 % |"]


def test_requests_begin_with_different_words_and_are_as_long_as_they_say():
    another = never_alike(client_request("sorter", stream=False))
    found = [another() for _ in range(60)]
    texts = [json.loads(one.partition(b"\r\n\r\n")[2])["messages"][0]["content"] for one in found]
    assert len(set(texts)) == 60
    assert len({text.split()[0] for text in texts}) > 20
    assert {len(one) for one in found} == {len(client_request("sorter", stream=False))}


def test_being_started_first_is_taken_out_of_a_merged_copys_change():
    # The copy is 10 % slower; whoever is first has half of its rate.
    rows = [
        Row("base first", 1, BASE_MODEL, turns(5, 6)),
        Row("base first", 1, MERGED, turns(9, 10.8)),
        Row("copy first", 1, BASE_MODEL, turns(10, 12)),
        Row("copy first", 1, MERGED, turns(4.5, 5.4)),
    ]
    assert over_both(rows)[1] == pytest.approx((-10, -10, -10))


async def test_with_no_seconds_each_connection_asks_all_the_same():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await load(port, b"GET\n", connections=3, seconds=0)
    assert found.statuses.keys() == {200}
    assert found.statuses[200] >= 3
