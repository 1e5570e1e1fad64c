import math

import pytest

from p2p.projection import PrefixStripper, project, project_logprobs
from p2p.tasks import ClassificationTask, GenerationTask

LABELS = ClassificationTask(
    labels=("no", "yes"), words=("0", "1", "2", "3"), token_ids=(10, 11, 12, 13), answer_context="Answer: "
)
TEXT = GenerationTask(prefix="Calm river:\n", prefix_tokens=4)


@pytest.mark.parametrize(
    ("reply", "answer", "extended"),
    [("3", "yes", True), (" 2\n", "no", True), ("1", "yes", False), ("7", None, False), ("", None, False)],
)
def test_a_word_stands_for_its_label(reply: str, answer: str | None, extended: bool):
    assert project(LABELS, reply) == (answer, extended)


@pytest.mark.parametrize(
    ("reply", "answer", "extended"),
    [
        ("Calm river:\nforty two", "forty two", True),
        (" Calm river:\nforty two", "forty two", True),
        ("calm river:\nforty two", "calm river:\nforty two", False),
        ("Calm river:", "Calm river:", False),
    ],
)
def test_only_the_whole_prefix_counts(reply: str, answer: str, extended: bool):
    assert project(TEXT, reply) == (answer, extended)


def test_probabilities_are_those_of_the_extended_half_renormalised():
    # 0.1 and 0.3 in the extended half; the 0.6 of the original half must not be seen.
    found = project_logprobs(
        LABELS, {10: math.log(0.5), 11: math.log(0.1), 12: math.log(0.1), 13: math.log(0.3)}
    )
    assert math.exp(found["no"]) == pytest.approx(0.25)
    assert math.exp(found["yes"]) == pytest.approx(0.75)


def test_tiny_probabilities_do_not_vanish():
    found = project_logprobs(LABELS, {12: -2000.0, 13: -2001.0})
    assert found["no"] - found["yes"] == pytest.approx(1.0)


def test_an_engine_without_mass_on_the_extended_half_is_an_error():
    with pytest.raises(ValueError, match="extended half"):
        project_logprobs(LABELS, {12: -math.inf, 13: -math.inf})
    with pytest.raises(KeyError):
        project_logprobs(LABELS, {12: -1.0})


def test_probabilities_of_words_of_several_tokens_are_those_of_their_first_ones():
    words = LABELS.model_copy(update={"token_ids": ((10, 1), (11,), (12, 1), (13, 1))})
    found = project_logprobs(words, {12: math.log(0.1), 13: math.log(0.3)})
    assert math.exp(found["no"]) == pytest.approx(0.25)


def test_words_that_share_a_first_token_have_no_probabilities():
    words = LABELS.model_copy(update={"token_ids": ((10,), (11,), (12, 1), (12, 2))})
    with pytest.raises(ValueError, match="later tokens"):
        project_logprobs(words, {10: -1.0, 11: -1.0, 12: -1.0})


def test_a_stream_is_held_back_no_longer_than_it_could_be_the_prefix():
    stripper = PrefixStripper("Calm river:\n")
    assert stripper.feed("Calm ") == ""
    assert stripper.extended is None
    assert stripper.feed("sea") == "Calm sea"
    assert stripper.extended is False


def test_what_was_taken_off_is_counted():
    stripper = PrefixStripper("Calm river:\n")
    assert "".join(map(stripper.feed, ("  Calm", " river:\n", "Hello"))) == "Hello"
    assert stripper.removed == len("  Calm river:\n")


def test_probabilities_of_the_original_half_are_for_comparing():
    found = project_logprobs(LABELS, {10: -0.5, 11: -1.5, 12: -9.0, 13: -9.0}, extended=False)
    # sigmoid(1) and sigmoid(-1), whatever the extended half's mass is.
    assert sorted(map(math.exp, found.values()), reverse=True) == pytest.approx([0.7310585786, 0.2689414214])
