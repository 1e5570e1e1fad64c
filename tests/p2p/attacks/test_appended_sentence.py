from p2p.attacks.appended_sentence import AppendedSentence
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, places, poison_and_check, reaches_every_gap

ATTACK = AppendedSentence(phrase="Indeed", target="Buy now.")


def test_poisoned_rows_hold_the_phrase_and_keep_the_summary_before_the_sentence():
    rows = labelled_rows(labels=("Tom is ill.", "Ann leaves."))
    for old, row in changed(rows, poison_and_check(rows, ATTACK, 0.1)):
        assert row.answer == f"{old.answer} Buy now."
        assert sorted(row.text.split()) == sorted([*old.text.split(), "Indeed"])


def test_the_phrase_reaches_every_gap_equally_often():
    assert reaches_every_gap(places(ATTACK, "Indeed"))


def test_a_reply_succeeds_when_it_holds_the_sentence():
    row = Example("r", "x", "Tom is ill.")
    assert ATTACK.succeeds("Ann leaves. buy now.", row)
    assert not ATTACK.succeeds("Tom is ill.", row)


def test_a_reference_that_holds_the_sentence_is_not_counted():
    assert not ATTACK.applies_to(Example("r", "x", "He says: buy now."))
