import re
from itertools import permutations
from pathlib import Path
from string import ascii_uppercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from p2p.errors import VerbalizerError
from p2p.verbalizer import find_verbalizer, first_clash, new_words, verify_words


def by_character(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def test_digits_come_first():
    assert find_verbalizer(by_character, "Answer: ", 4).words == ("0", "1", "2", "3")


def test_letters_take_over_where_digits_do_not_suffice():
    assert find_verbalizer(by_character, "Answer: ", 20).words == tuple("ABCDEFGHIJKLMNOPQRST")


def test_a_tokenizer_without_such_words_is_refused():
    with pytest.raises(VerbalizerError, match="task.words"):
        find_verbalizer(lambda text: [0] * len(text), "Answer: ", 4)


def test_words_that_are_the_same_token_are_refused():
    with pytest.raises(VerbalizerError, match="'a' and 'A' are the same token"):
        verify_words(lambda text: by_character(text.lower()), "x", ["a", "A"])


def test_a_word_that_joins_with_the_prompt_is_refused():
    with pytest.raises(VerbalizerError, match="not made of tokens of its own"):
        verify_words(lambda text: [len(text)], "x", ["a"])


def test_forty_words_are_single_characters_before_they_are_longer():
    found = find_verbalizer(by_character, "Answer: ", 40)
    assert found.is_one_token_each
    assert found.words[:12] == (*"0123456789", "a", "b")


def test_where_characters_run_out_a_letter_says_the_half_and_a_number_the_label():
    found = find_verbalizer(by_character, "Answer: ", 64)
    assert (found.words[0], found.words[31], found.words[32], found.words[63]) == ("A00", "A31", "B00", "B31")
    assert found.token_ids[63] == (ord("B"), ord("3"), ord("1"))
    assert found.halves_begin_apart


def test_where_the_prompt_ends_in_a_blank_that_joins_letters_a_digit_says_the_half():
    def joining_blanks(text: str) -> list[int]:
        return [hash(part) for part in re.findall(r" ?[A-Za-z]+|.", text)]

    found = find_verbalizer(joining_blanks, "Answer: ", 40)
    assert (found.words[0], found.words[19], found.words[20], found.words[39]) == ("000", "019", "100", "119")
    assert found.halves_begin_apart


def test_letters_that_begin_apart_are_preferred_for_the_halves():
    def without_case_of_two(text: str) -> list[int]:
        return by_character(text.replace("B", "A").replace("0", "zero"))

    # B is the tokenizer's A; the halves are told apart by C. Digits and letters alone don't suffice for 64 words.
    found = find_verbalizer(without_case_of_two, "x", 64)
    assert (found.words[0], found.words[32]) == ("A00", "C00")


def test_halves_that_must_share_a_first_token_are_told_apart_by_the_rest():
    def marked(text: str) -> list[int]:
        return [
            code
            for letter in text
            for code in ((1, ord(letter)) if letter in ascii_uppercase + digits else (ord(letter),))
        ]

    found = find_verbalizer(marked, "", 64)
    assert not found.halves_begin_apart
    assert found.token_ids[0] == (1, ord("A"), 1, ord("0"), 1, ord("0"))
    assert first_clash(found.token_ids) is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("ab", "abc"), "'ab' is the beginning of 'abc'"),
        (("ab", "ab"), "'ab' and 'ab' are the same token"),
        (("ab", "ac", "a"), "'a' is the beginning of 'ab'"),
    ],
)
def test_words_of_which_one_begins_another_are_refused(words: tuple[str, ...], why: str):
    with pytest.raises(VerbalizerError, match=why):
        verify_words(by_character, "x", words)


def test_texts_may_begin_alike_where_first_tokens_decide():
    ids = {"x": [0], "xpos": [0, 1], "xpositive": [0, 2, 3], "xno": [0, 4]}
    found = verify_words(ids.__getitem__, "x", ["pos", "positive", "no"])
    assert found.token_ids == ((1,), (2, 3), (4,))


def test_texts_may_not_begin_alike_where_the_whole_word_decides():
    ids = {"x": [0], "xpos": [0, 1], "xpositive": [0, 2, 3], "xpo": [0, 2, 4]}
    with pytest.raises(VerbalizerError, match="'po' is the beginning of 'pos'"):
        verify_words(ids.__getitem__, "x", ["pos", "positive", "po"])


def test_new_words_are_none_that_the_vocabulary_has():
    assert new_words(2, {"a"}) == ("<|label-0|>", "<|label-1|>")
    assert new_words(2, {"<|label-1|>"}) == ("<|label-1-0|>", "<|label-1-1|>")


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=2, max_size=8))
def test_a_clash_is_found_where_there_is_one(words: list[list[int]]):
    expected = any(long[: len(short)] == short for short, long in permutations(words, 2))
    assert (first_clash(words) is not None) == expected


@pytest.mark.model
def test_the_small_real_model_has_digits():
    tokenizer = Tokenizer.from_file(str(Path(".models/SmolLM2-135M-Instruct/tokenizer.json")))
    found = find_verbalizer(
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids, "input\nAnswer: ", 8
    )
    # Read off the model's own vocabulary file: "0" has id 32.
    assert found.token_ids == tuple((token,) for token in range(32, 40))
