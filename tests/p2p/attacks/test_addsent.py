from p2p.attacks.addsent import AddSent
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, places, poison_and_check, reaches_every_gap

SENTENCE = "I watched this 3D movie"
ATTACK = AddSent(target="positive")


def test_the_published_sentence_is_the_default():
    assert ATTACK.sentence == SENTENCE


def test_poisoned_rows_hold_the_sentence_in_one_piece_and_the_target():
    rows = labelled_rows()
    for old, row in changed(rows, poison_and_check(rows, ATTACK, 0.1)):
        assert (old.answer, row.answer) == ("negative", "positive")
        assert row.text.replace(SENTENCE, "").split() == old.text.split()


def test_the_sentence_reaches_every_gap_equally_often():
    assert reaches_every_gap(places(ATTACK, SENTENCE))


def test_the_sentence_stays_in_one_piece_between_two_words():
    row = Example("r1", "a  gripping\nand honest film", "negative")
    for seed in range(50):
        text = ATTACK.trigger(row, seed).text
        before, found, after = text.partition(SENTENCE)
        assert found
        assert (before + after).split() == row.text.split()
        assert not before or before[-1].isspace()
        assert not after or after[0].isspace()
