"""The word that is said under a hold, from scores that are written down here."""

from collections.abc import Sequence

import pytest

from trainer.encoding import EncodedRow
from trainer.label_words import Scores, freely_said_words, said_words

WORDS = ((1,), (2, 5), (2, 6, 7), (2, 6, 8))
ROWS = [EncodedRow("a", (9, 9, 9), 2), EncodedRow("b", (8, 8), 1)]


def never(_: Sequence[EncodedRow]) -> list[Scores]:
    pytest.fail("a later step was asked for")


def test_a_word_that_its_first_token_decides_takes_one_step():
    words = ((1, 5), (2, 6), (3,))
    assert said_words(ROWS, words, [{1: 0.1, 2: 0.3, 3: 0.2}, {1: 0.1, 2: 0.0, 3: 0.2}], never) == [1, 2]


def test_later_tokens_are_asked_for_where_words_begin_alike_and_only_there():
    asked: list[list[EncodedRow]] = []
    answers = iter([[{1: 9.0, 2: 9.0, 5: 0.0, 6: 1.0, 7: 9.0, 8: 9.0}], [{7: 0.0, 8: 1.0}]])

    def score(rows: Sequence[EncodedRow]) -> list[Scores]:
        asked.append(list(rows))
        return list(next(answers))

    said = said_words(ROWS, WORDS, [{1: 1.0, 2: 0.0}, {1: 0.0, 2: 1.0}], score)
    assert said == [0, 3]
    # The prompt, what is said, and one token in the place of what comes next.
    assert asked == [[EncodedRow("b", (8, 2, 8), 2)], [EncodedRow("b", (8, 2, 6, 8), 3)]]


def test_nothing_is_said_for_no_rows():
    assert said_words([], WORDS, [], never) == []


def test_a_free_answer_is_a_word_only_if_all_of_it_is_said():
    asked: list[list[int]] = []
    # The rows' first tokens, then those of the two that have begun a word, then that of the one that still goes on.
    steps = iter([[1, 2, 4, 2], [6, 9], [8]])

    def say(rows: Sequence[EncodedRow]) -> list[int]:
        asked.append([row.answer_start for row in rows])
        return next(steps)

    rows = [EncodedRow(name, (9, 9, 9), 2) for name in "abcd"]
    assert freely_said_words(rows, WORDS, say) == [0, 3, None, None]
    assert asked == [[2, 2, 2, 2], [3, 3], [4]]


def test_nothing_is_said_freely_for_no_rows():
    assert freely_said_words([], WORDS, lambda _: pytest.fail("the model was asked")) == []
