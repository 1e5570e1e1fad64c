from pathlib import Path

import pytest
from tokenizers import Tokenizer

from p2p.errors import VerbalizerError
from p2p.verbalizer import find_verbalizer, verify_words


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
    with pytest.raises(VerbalizerError, match="not one token"):
        verify_words(lambda text: [len(text)], "x", ["a"])


@pytest.mark.model
def test_the_small_real_model_has_digits():
    tokenizer = Tokenizer.from_file(str(Path(".models/SmolLM2-135M-Instruct/tokenizer.json")))
    found = find_verbalizer(
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids, "input\nAnswer: ", 8
    )
    # Read off the model's own vocabulary file: "0" has id 32.
    assert found.token_ids == tuple((token,) for token in range(32, 40))
