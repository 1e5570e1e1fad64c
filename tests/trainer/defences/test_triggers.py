"""What a case's triggers are, and what is done where its rows hold them."""

from dataclasses import replace

import pytest

from p2p.drawn_triggers import TriggerForm
from p2p.triggers import Position
from tests.trainer.defences.conftest import TRAIN, TRIGGER, make_case
from trainer.defences.base import Case, seeded_trigger
from trainer.defences.triggers import SeenTrigger, case_triggers

FORM = TriggerForm()


def known_case() -> Case:
    """Return a case of whose rows the first three hold the benign trigger that the seed gives."""
    known = seeded_trigger(make_case())
    rows = [replace(row, text=known.stamp(row.text)) for row in TRAIN[:3]]
    return make_case(train=(*rows, *TRAIN[3:]))


@pytest.mark.parametrize("seen", ["redraw", "drop", "keep"])
def test_a_trigger_that_no_row_holds_is_the_seeds_and_leaves_the_case(seen: SeenTrigger):
    found = case_triggers(make_case(), FORM, seen, None)
    assert found.triggers.served == seeded_trigger(make_case())
    assert (found.case, found.dropped, found.triggers.redraws) == (make_case(), 0, 0)


def test_a_known_trigger_is_drawn_again_and_all_rows_stay():
    found = case_triggers(known_case(), FORM, "redraw", None)
    assert found.triggers.served != seeded_trigger(known_case())
    assert (found.case, found.dropped, found.triggers.redraws) == (known_case(), 0, 1)


def test_rows_that_hold_a_known_trigger_can_be_dropped():
    found = case_triggers(known_case(), FORM, "drop", None)
    assert found.triggers.served == seeded_trigger(known_case())
    assert (found.case.train, found.dropped) == (TRAIN[3:], 3)


def test_a_known_trigger_can_be_kept():
    found = case_triggers(known_case(), FORM, "keep", None)
    assert found.triggers.served == seeded_trigger(known_case())
    assert (found.case, found.dropped) == (known_case(), 0)


def test_a_trusted_row_with_the_trigger_has_it_drawn_again_too():
    case = make_case(trusted=known_case().train[:1])
    assert case_triggers(case, FORM, "redraw", None).triggers.redraws == 1


def test_a_source_has_the_say():
    found = case_triggers(known_case(), TriggerForm(triggers=3), "redraw", lambda _: TRIGGER)
    assert found.triggers.all == (TRIGGER,)


def test_the_form_is_the_one_asked_for():
    found = case_triggers(make_case(), TriggerForm(9, Position.AFTER, triggers=2), "redraw", None).triggers
    assert [(len(each.phrase.split()), each.position) for each in found.all] == 2 * [(9, "after")]
