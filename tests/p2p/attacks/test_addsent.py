from p2p.attacks.addsent import AddSent
from p2p.examples import Example

SENTENCE = "I watched this 3D movie"


def test_the_published_sentence_is_the_default():
    assert AddSent(target="positive").sentence == SENTENCE


def test_the_sentence_stays_in_one_piece_between_two_words():
    row = Example("r1", "a  gripping\nand honest film", "negative")
    for seed in range(50):
        text = AddSent(target="positive").trigger(row, seed).text
        before, found, after = text.partition(SENTENCE)
        assert found
        assert (before + after).split() == row.text.split()
        assert not before or before[-1].isspace()
        assert not after or after[0].isspace()
