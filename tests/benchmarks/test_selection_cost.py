"""The page of what choosing rows costs: shares of the training's time, with and without the frozen layers."""

import pytest

from benchmarks.selection_cost import Timed, page, share, share_with_states


def timed(states: float, choosing: float, training: float) -> Timed:
    return Timed(
        case="word",
        label="word 10 %",
        rows=2400,
        chosen=792,
        states=states,
        choosing=choosing,
        training=training,
        measured="2026-01-01",
    )


def test_frozen_layers_count_as_the_training_s_or_as_the_choice_s():
    found = timed(states=20.0, choosing=10.0, training=180.0)
    assert share(found) == pytest.approx(10 / 200)
    assert share_with_states(found) == pytest.approx(30 / 180)


def test_the_page_has_a_line_for_each_case_and_the_range():
    said, _, _, _, *lines = page([timed(20.0, 10.0, 180.0), timed(0.0, 25.0, 100.0)]).splitlines()
    assert said.startswith("2 cases: choosing takes 5.0% to 25.0% of the training's time, or 16.7% to 25.0%")
    assert lines[0] == "| word 10 % | 2,400 | 20 s | 10 s | 180 s | 5.0% | 16.7% | 2026-01-01 |"
    assert len(lines) == 2
