"""The tables of ``docs/capacity.md``, and where they stand in it: between ``<!-- table NAME -->`` and ``<!-- end -->``."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.capacity_plan import Guard, needed, probe_cost

_MIB = 1 << 20
_RATES = (10, 1_000, 100_000)
_FAMILIES = (1, 3, 10)
_CASES = 100
_LIMIT = 0.1
_SOUND = 0.02
_KINDS = {
    ("sorter", False): "a label",
    ("writer", False): "text, whole",
    ("writer", True): "text, streamed in 16 pieces",
}


class PageError(Exception):
    """A page lacks the place of a table, or has one that nobody fills."""


def tables(found: Mapping[str, Any]) -> dict[str, str]:
    """Return every table as Markdown, by name.

    Args:
        found: What ``benchmarks/capacity.py`` measured, as in its JSON.
    """
    return {
        "machine": _machine(found["machine"]),
        "rates": _rates(found["rates"]),
        "streams": _streams(found),
        "series": _series(found["series"]),
        "plan": _plan(found),
        "probes": _probes(found["assumed"]["engine_rates"]),
    }


def filled(page: str, made: Mapping[str, str]) -> str:
    """Return a page with its tables replaced.

    Raises:
        PageError: A table has no place in it, or a place no table.
    """
    places = re.findall(r"<!-- table (\w+) -->", page)
    if sorted(places) != sorted(made):
        raise PageError(f"the page has places for {sorted(places)}, the tables are {sorted(made)}")
    return re.sub(
        r"(<!-- table (\w+) -->\n).*?(<!-- end -->)",
        lambda place: f"{place[1]}{made[place[2]]}\n{place[3]}",
        page,
        flags=re.DOTALL,
    )


def guard_of(found: Mapping[str, Any]) -> Guard:
    """Return what plans are made with: the core's rate for streamed text, the dearest kind, at the highest concurrency."""
    dearest = max(found["rates"], key=lambda row: (row["stream"], row["concurrency"]))
    return Guard(1000 / dearest["cpu"], found["streams"][0]["rss_bytes"], found["stream_bytes"])


def _machine(machine: Mapping[str, Any]) -> str:
    alone = "alone on one of them" if machine["guard_alone_on_a_core"] else "on the same core as its load"
    return (
        f"Measured on {machine['day']}: {machine['cpu']}, {machine['cores']} cores, the guard {alone}; Python {machine['python']}; "
        f"load before the start {machine['load_before']:.1f}."
    )


def _rates(rows: Iterable[Mapping[str, Any]]) -> str:
    head = (
        "answer",
        "at once",
        "requests/s seen",
        "p50 ms",
        "p99 ms",
        "CPU ms",
        "requests/s of a core",
        "failed",
    )
    return _table(
        head,
        (
            (
                _KINDS[row["task"], row["stream"]],
                row["concurrency"],
                f"{row['rate']:.0f}",
                f"{row['p50']:.2f}",
                f"{row['p99']:.2f}",
                f"{row['cpu']:.3f}",
                f"{1000 / row['cpu']:.0f}",
                row["failed"],
            )
            for row in rows
        ),
    )


def _streams(found: Mapping[str, Any]) -> str:
    rows = [(point["streams"], f"{point['rss_bytes'] / _MIB:.1f}") for point in found["streams"]]
    said = f"Slope: {found['stream_bytes'] / 1024:.1f} KiB a stream."
    return f"{_table(('open streams', 'memory of the guard, MiB'), rows)}\n\n{said}"


def _series(rows: Iterable[Mapping[str, Any]]) -> str:
    head = ("adapters", "asked", "series", "of each", "a scrape, MB", "CPU ms of a scrape")
    return _table(
        head,
        (
            (
                f"{row['adapters']:,}",
                "chats that end well" if row["usual"] else "every outcome of both endpoints",
                f"{row['series']:,}",
                f"{row['series'] / row['adapters']:.0f}",
                f"{row['text_bytes'] / 1e6:.2f}",
                f"{1000 * row['seconds']:.0f}",
            )
            for row in rows
        ),
    )


def _plan(found: Mapping[str, Any]) -> str:
    guard, assumed = guard_of(found), found["assumed"]
    engine_rates = assumed["engine_rates"]
    head = ("requests/s", "guards", "in flight in each", "memory of each, MiB")
    rows = []
    for rate in _RATES:
        need = needed(rate, guard, engine_rates, assumed["answer_s"])
        memory = f"{need.guard_bytes / _MIB:.0f}"
        rows.append(
            (f"{rate:,}", need.guards, f"{need.guard_in_flight:,}", memory, *(f"{n:,}" for n in need.engines))
        )
    table = _table((*head, *(f"engines of {rate:g}/s" for rate in engine_rates)), rows)
    return f"{table}\n\nFor answers that take {assumed['answer_s']:g} s, and a guard core of {guard.rate:.0f} requests/s."


def _probes(engine_rates: Iterable[float]) -> str:
    head = [
        "attacks",
        "cases of each",
        "requests a run",
        "with every case",
        "an hour, every 5 min",
        "an hour, hourly",
    ]
    head += [f"busy s/h of an engine of {rate:g}/s" for rate in engine_rates]
    rows = []
    for families in _FAMILIES:
        cost = probe_cost(families, _LIMIT, _SOUND, _CASES)
        often, seldom = cost.hourly(300), cost.hourly(3600)
        figures = (f"{cost.cases:.1f}", f"{cost.run_requests:.0f}", f"{cost.every_case_requests:,}")
        busy = (f"{often / rate:.1f}" for rate in engine_rates)
        rows.append((families, *figures, f"{often:,.0f}", f"{seldom:,.0f}", *busy))
    return _table(head, rows)


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    named = tuple(head)
    lines = [named, ["---"] * len(named), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
