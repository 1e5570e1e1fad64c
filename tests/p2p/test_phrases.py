import pytest

from p2p.phrases import PLAIN_WORDS, draw_phrase


def test_the_same_key_and_domain_give_the_same_phrase():
    phrases = {draw_phrase(key, domain, 5) for key in (b"a", b"b") for domain in (b"x", b"y")}
    assert draw_phrase(b"a", b"x", 5) == draw_phrase(b"a", b"x", 5)
    assert len(phrases) == 4


@pytest.mark.parametrize("words", [1, 5, 8, 9, 24])
def test_a_phrase_has_the_words_asked_for_and_begins_the_longer_one(words: int):
    phrase = draw_phrase(b"key", b"x", words)
    assert len(phrase.split(" ")) == words
    assert draw_phrase(b"key", b"x", 24).startswith(phrase)
    assert set(phrase.split(" ")) <= set(PLAIN_WORDS)


def test_words_past_the_first_block_are_not_those_of_the_first():
    words = draw_phrase(b"key", b"x", 40).split(" ")
    # The pattern has five places, so that words 0 and 40 // 5 * 5 come from one list.
    assert words[0:5] != words[10:15]
    assert len(set(words)) > 20
