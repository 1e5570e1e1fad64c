"""Words of the extended half that an attacker can't foresee."""

import pytest

from p2p.drawn_words import draw_extended_words
from p2p.errors import VerbalizerError
from p2p.phrases import PLAIN_WORDS
from p2p.verbalizer import Verbalizer, find_verbalizer


def by_character(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def by_word(text: str) -> list[int]:
    """One token a word with the blank before it, and one for each other character, as byte-pair tokenizers have."""
    tokens: list[int] = []
    for part in text.replace(" ", "\0 ").split("\0"):
        whole = part.strip() in PLAIN_WORDS and part.startswith(" ")
        tokens += [1000 + PLAIN_WORDS.index(part.strip())] if whole else by_character(part)
    return tokens


def test_the_original_half_stays_and_the_extended_half_is_plain_words_of_one_token():
    found = draw_extended_words(by_word, "Answer:", find_verbalizer(by_word, "Answer:", 8), b"key")
    assert found.words[:4] == ("0", "1", "2", "3")
    assert {word.strip() for word in found.words[4:]} <= set(PLAIN_WORDS)
    assert found.is_one_token_each
    assert found.halves_begin_apart


def test_another_key_draws_other_words_and_the_same_key_the_same():
    base = find_verbalizer(by_word, "Answer:", 8)
    first, again, other = (draw_extended_words(by_word, "Answer:", base, key) for key in (b"a", b"a", b"b"))
    assert first == again
    assert not set(first.words[4:]) & set(other.words[4:])


def test_where_no_word_is_one_token_numbers_are_drawn_that_begin_like_no_original_word():
    base = find_verbalizer(by_character, "Answer: ", 8)
    found = draw_extended_words(by_character, "Answer: ", base, b"key")
    assert all(len(word) == 3 and word.isdecimal() for word in found.words[4:])
    firsts = [word[0] for word in found.words]
    assert len(set(firsts)) == 8


def test_numbers_share_a_first_token_only_where_there_are_not_enough():
    letters = tuple("ABCDEFGHIJKLMNOPQRSTUVWX")
    base = Verbalizer(letters, tuple((ord(letter),) for letter in letters))
    found = draw_extended_words(by_character, "x", base, b"key")
    assert len(set(found.words[12:])) == 12
    assert {word[0] for word in found.words[12:]} == set("0123456789")


def test_a_tokenizer_that_tells_nothing_apart_is_refused():
    base = Verbalizer(("0", "1"), ((48,), (49,)))

    def digits_alone(text: str) -> list[int]:
        return [ord(letter) for letter in text if letter in "01"]

    with pytest.raises(VerbalizerError, match="extended_words to `found`"):
        draw_extended_words(digits_alone, "", Verbalizer(("0", "1", "00", "11"), base.token_ids * 2), b"key")
