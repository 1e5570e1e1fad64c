"""The arithmetic of the capacity page, by hand; and that the page has a place for each table."""

import re
from pathlib import Path

import pytest

from benchmarks import capacity_page
from benchmarks.capacity_plan import Guard, needed, probe_cost

PAGE = Path("docs/capacity.md")
FOUND = {
    "machine": {
        "cpu": "any",
        "cores": 2,
        "guard_alone_on_a_core": True,
        "load_before": 0.0,
        "python": "3.11",
        "day": "2026-01-01",
    },
    "rates": [
        {
            "task": task,
            "stream": stream,
            "concurrency": 64,
            "rate": 400.0,
            "p50": 1.0,
            "p99": 2.0,
            "cpu": 2.0,
            "failed": 0,
        }
        for task, stream in (("sorter", False), ("writer", False), ("writer", True))
    ],
    "streams": [{"streams": 0, "rss_bytes": 100 << 20}, {"streams": 1024, "rss_bytes": 164 << 20}],
    "stream_bytes": 65536.0,
    "series": [{"adapters": 10, "usual": True, "series": 500, "text_bytes": 40_000, "seconds": 0.01}],
    "assumed": {"engine_rates": [10], "answer_s": 5},
}


def test_a_rate_needs_guards_engines_and_memory():
    need = needed(1000, Guard(rate=500, base_bytes=100.0, stream_bytes=2.0), [10], answer_s=6)
    # 1000 / (0.7 * 500) = 2.9, 1000 / (0.7 * 10) = 142.9, 6000 open at once in 3 guards.
    assert need == (1000, 3, 2000, 4100.0, (143,))


def test_probes_cost_the_expected_sample_number_of_the_sequential_test():
    cost = probe_cost(1, limit=0.1, share=0.0, cases=100)
    # docs/canary.md: 25.0 cases, each with and without its trigger; 12 runs an hour.
    assert (cost.cases, cost.run_requests, cost.every_case_requests) == (25.0, 50.0, 200)
    assert cost.hourly(300) == 600


def test_a_place_is_filled_and_nothing_else_is_changed():
    page = "a\n<!-- table x -->\nold\n<!-- end -->\nb\n"
    assert capacity_page.filled(page, {"x": "new"}) == "a\n<!-- table x -->\nnew\n<!-- end -->\nb\n"


def test_a_table_without_a_place_is_said():
    with pytest.raises(capacity_page.PageError, match="'y'"):
        capacity_page.filled("<!-- table x -->\n<!-- end -->", {"x": "", "y": ""})


def test_the_page_has_a_place_for_every_table_and_each_is_filled():
    page = PAGE.read_text()
    assert capacity_page.filled(page, capacity_page.tables(FOUND)) != page
    assert not re.search(r"-->\n<!-- end -->", page)


def test_a_guard_is_planned_with_its_dearest_answers():
    assert capacity_page.guard_of(FOUND) == Guard(500.0, 100 << 20, 65536.0)
