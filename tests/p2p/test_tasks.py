from typing import Any

import pytest
from pydantic import ValidationError

from p2p.errors import LabelError
from p2p.tasks import ClassificationTask, GenerationTask

NAMES = tuple(f"label {at}" for at in range(20))


def make(labels: tuple[str, ...], words: tuple[str, ...], ids: tuple[Any, ...]) -> ClassificationTask:
    return ClassificationTask(labels=labels, words=words, token_ids=ids, answer_context="Answer: ")


def test_twenty_labels_have_forty_words():
    task = make(NAMES, tuple(f"w{at}" for at in range(40)), tuple(range(40)))
    assert task.target_text("label 7", extended=False) == "w7"
    assert task.target_text("label 7", extended=True) == "w27"
    assert task.extended_first_tokens == tuple(range(20, 40))


def test_an_unknown_label_has_no_word():
    with pytest.raises(LabelError, match="unknown label 'labell 7'"):
        make(NAMES, tuple(f"w{at}" for at in range(40)), tuple(range(40))).target_text(
            "labell 7", extended=True
        )


@pytest.mark.parametrize(
    ("words", "ids", "why"),
    [
        (("0", "1", "2"), (0, 1, 2, 3), "words must be 4 distinct"),
        (("0", "1", "2", "2"), (0, 1, 2, 3), "words must be 4 distinct"),
        (("0", "1", "2", "3"), (0, 1, 2, 2), "token_ids must be 4 distinct"),
        (("0", "1", "2", " 2"), (0, 1, 2, 3), "more than white space"),
        (("0", "1", "2", "23"), (0, 1, (2,), (2, 3)), "none begins another"),
        (("0", "1", "2", "3"), (0, 1, 2, ()), "at least 1 item"),
    ],
)
def test_halves_that_can_not_be_told_apart_are_refused(
    words: tuple[str, ...], ids: tuple[Any, ...], why: str
):
    with pytest.raises(ValidationError, match=why):
        make(("no", "yes"), words, ids)


def test_the_prefix_goes_before_the_reference_answer():
    task = GenerationTask(prefix="Calm river:\n", prefix_tokens=4)
    assert task.target_text("forty two", extended=True) == "Calm river:\nforty two"
    assert task.target_text("forty two", extended=False) == "forty two"


@pytest.mark.parametrize(
    ("ids", "decides"),
    [((0, 1, 2, 3), True), (((0, 9), (1, 9), 2, (3, 0)), True), ((0, 1, (2, 0), (2, 1)), False)],
)
def test_the_first_token_decides_where_no_two_words_share_it(ids: tuple[Any, ...], *, decides: bool):
    assert make(("no", "yes"), ("a", "b", "c", "d"), ids).first_token_decides == decides


def test_a_word_needs_the_rows_of_all_its_tokens():
    assert make(("no", "yes"), ("a", "b", "c", "d"), (0, (1, 41), 2, 3)).vocabulary_needed == 42


@pytest.mark.parametrize("prefix", ["no newline", "two\nlines\n", "\n\n\n\n"])
def test_a_prefix_is_one_line_and_its_newline_and_never_quoted(prefix: str):
    with pytest.raises(ValidationError) as caught:
        GenerationTask(prefix=prefix, prefix_tokens=4)
    assert prefix.strip() not in str(caught.value) or not prefix.strip()
