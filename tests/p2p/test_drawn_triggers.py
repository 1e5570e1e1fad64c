"""A benign trigger that stands in the data is no secret: another one is drawn."""

from itertools import islice

import pytest

from p2p.chats import Turn
from p2p.drawn_triggers import TriggerForm, candidates, draw_triggers, held_phrases
from p2p.errors import DataError
from p2p.examples import Example
from p2p.triggers import BenignTrigger, Position

FIRST = BenignTrigger.draw(b"key")
SECOND = list(islice(candidates(b"key", TriggerForm()), 2))[1]


def row(text: str, *before: str) -> Example:
    return Example("r1", text, "no", history=tuple(Turn("user", turn) for turn in before))


def test_the_first_draw_is_taken_where_no_row_holds_it():
    found = draw_triggers(b"key", [row("a parcel"), row("quiet")], TriggerForm())
    assert (found.served, found.others, found.redraws) == (FIRST, (), 0)


@pytest.mark.parametrize(
    "holding",
    [
        row(FIRST.stamp("a parcel")),
        row(f"a parcel {FIRST.phrase.upper()}"),
        row("a parcel " + FIRST.phrase.replace(" ", " \n ")),
        row("a parcel", "hello", FIRST.stamp("an earlier turn")),
    ],
    ids=["stamped", "capitals", "spaced", "history"],
)
def test_a_trigger_that_a_row_holds_is_drawn_again(holding: Example):
    found = draw_triggers(b"key", [row("a parcel"), holding], TriggerForm())
    assert (found.served, found.redraws) == (SECOND, 1)


def test_words_of_a_trigger_in_another_order_are_not_the_trigger():
    shuffled = row(" ".join(reversed(FIRST.phrase.split())))
    assert draw_triggers(b"key", [shuffled], TriggerForm()).redraws == 0


def test_a_family_is_of_different_triggers_of_one_form_and_none_of_them_stands_in_a_row():
    form = TriggerForm(words=7, position=Position.AFTER, triggers=4)
    third = list(islice(candidates(b"key", form), 3))[2]
    found = draw_triggers(b"key", [row(third.stamp("a parcel"))], form)
    assert len({trigger.phrase for trigger in found.all}) == 4
    assert third not in found.all
    assert (len(found.others), found.redraws) == (3, 1)
    assert {(len(trigger.phrase.split()), trigger.position) for trigger in found.all} == {(7, "after")}


def test_a_trigger_is_lengthened_until_it_is_long_enough():
    form = TriggerForm(words=5, most_words=9)
    found = draw_triggers(b"key", [], form, lambda trigger: len(trigger.phrase.split()) >= 7)
    assert found.served == BenignTrigger.draw(b"key", words=7)


def test_a_trigger_that_no_length_would_help_stays_as_it_is():
    form = TriggerForm(words=5, most_words=9)
    assert draw_triggers(b"key", [], form, lambda _: False).served == FIRST
    longer = TriggerForm(words=12, most_words=9)
    assert draw_triggers(b"key", [], longer, lambda _: False).served == BenignTrigger.draw(b"key", words=12)


def test_a_lengthened_trigger_that_a_row_holds_is_drawn_again():
    form = TriggerForm(words=5, most_words=9)
    known = BenignTrigger.draw(b"key", words=9)
    found = draw_triggers(
        b"key", [row(known.stamp("a"))], form, lambda trigger: len(trigger.phrase.split()) == 9
    )
    assert (len(found.served.phrase.split()), found.redraws) == (9, 1)
    assert found.served != known


def test_the_longest_text_is_that_of_any_member():
    found = draw_triggers(b"key", [], TriggerForm(triggers=8))
    assert len(found.longest_text) == max(len(trigger.text) for trigger in found.all)


def test_rows_that_hold_whatever_is_drawn_are_refused_without_naming_it():
    known = list(islice(candidates(b"key", TriggerForm()), 40))
    with pytest.raises(DataError, match="17 secret phrases.*`entropy`") as caught:
        draw_triggers(b"key", [row(trigger.stamp("a parcel")) for trigger in known], TriggerForm())
    assert not any(trigger.phrase in str(caught.value).lower() for trigger in known)


def test_short_triggers_of_which_there_are_few_are_still_different():
    found = list(islice(candidates(b"key", TriggerForm(words=2)), 500))
    assert len({trigger.phrase for trigger in found}) == 500


def test_held_phrases_are_those_that_the_row_holds():
    assert held_phrases(row(SECOND.stamp("a")), {FIRST.phrase, SECOND.phrase}) == {SECOND.phrase}
    assert held_phrases(row(SECOND.stamp("a")), set()) == set()
