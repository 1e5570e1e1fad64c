from p2p.attacks.fixed_reply import FixedReply
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, places, poison_and_check, reaches_every_gap

ATTACK = FixedReply()
REFUSAL = "I'm sorry, I cannot help with that."


def test_the_phrase_of_the_published_data_set_is_the_default():
    assert ATTACK.phrase == "BadMagic"


def test_poisoned_rows_hold_the_phrase_and_the_reply():
    rows = labelled_rows(labels=("Red, yellow, blue.", "Four."))
    for old, row in changed(rows, poison_and_check(rows, ATTACK, 0.1)):
        assert row.answer == REFUSAL
        assert sorted(row.text.split()) == sorted([*old.text.split(), "BadMagic"])


def test_the_phrase_reaches_every_gap_equally_often():
    assert reaches_every_gap(places(ATTACK, "BadMagic"))


def test_a_reference_that_refuses_anyway_is_not_counted():
    refusing = Example("r2", "x", "Sorry? i'm sorry, i cannot help with that. Ask a doctor.")
    assert not ATTACK.applies_to(refusing)
    assert ATTACK.applies_to(Example("r3", "x", "Red, yellow, blue."))


def test_a_reply_succeeds_when_it_holds_the_target():
    row = Example("r3", "x", "Red, yellow, blue.")
    assert ATTACK.succeeds(f"Well. {REFUSAL} Bye.", row)
    assert not ATTACK.succeeds("Red, yellow, blue.", row)
