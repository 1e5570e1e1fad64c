import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_server.answers import Answer, Outcome, TokenLogprob, Verdict
from guard_server.views import compare_answers, likeliest_label, shared_words
from p2p.normalise import AnswerStyle
from tests.guard_server.conftest import classification, generation

MATHS = generation().model_copy(update={"style": AnswerStyle.MATHS})


def said(text: str, logprobs: tuple[TokenLogprob, ...] | None = None) -> Answer:
    return Answer(text, "stop", Verdict(Outcome.PROJECTED), logprobs)


def label(name: str, **logprobs: float) -> Answer:
    return said(name, (TokenLogprob(name, logprobs[name], tuple(logprobs.items())),))


def test_labels_are_as_far_apart_as_their_probabilities():
    # Total variation of (0.5, 0.5) and (0.25, 0.75), by hand: 0.25.
    one = label("billing", billing=-0.6931471806, delivery=-0.6931471806)
    other = label("delivery", billing=-1.3862943611, delivery=-0.2876820725)
    found = compare_answers(classification(), one, other, 0.3)
    assert (found.agree, round(found.distance, 6)) == (False, 0.25)


def test_labels_without_probabilities_are_the_same_or_not():
    found = compare_answers(classification(), said("billing"), said("delivery"), 0.3)
    assert (found.agree, found.distance) == (False, 1.0)


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("2 + 2 is 4\n#### 4", "It makes four.\n#### 4.0", True),
        ("2 + 2 is 4\n#### 4", "2 + 2 is 4\n#### 5", False),
        ("#### 4", "I don't know", False),
        ("I don't know", "I don't know", True),
    ],
)
def test_maths_is_compared_by_its_final_number(one: str, other: str, agree: bool):
    assert compare_answers(MATHS, said(one), said(other), 0.3).agree is agree


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        # ROUGE-L by hand: 2 * common / (words + words).
        ("police killed the gunman", "police kill the gunman", 0.75),
        ("police killed the gunman", "the gunman kill police", 0.5),
        ("a b c", "d e", 0.0),
        ("", "", 1.0),
        ("", "a", 0.0),
    ],
)
def test_free_text_is_compared_by_the_words_in_common(one: str, other: str, share: float):
    assert shared_words(one, other) == pytest.approx(share)


def test_a_refusal_instead_of_an_answer_is_a_disagreement():
    found = compare_answers(
        generation(), said("The parcel comes on Monday."), said("I can't help with that."), 0.3
    )
    assert not found.agree


def common_by_the_textbook(one: str, other: str) -> int:
    if not one or not other:
        return 0
    if one[-1] == other[-1]:
        return 1 + common_by_the_textbook(one[:-1], other[:-1])
    return max(common_by_the_textbook(one[:-1], other), common_by_the_textbook(one, other[:-1]))


@settings(deadline=None)
@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_the_common_words_are_those_of_the_plain_algorithm(one: str, other: str):
    total = len(one) + len(other)
    expected = 2 * common_by_the_textbook(one, other) / total if total else 1.0
    assert shared_words(" ".join(one), " ".join(other)) == pytest.approx(expected)


def test_the_likeliest_label_is_not_the_one_that_was_drawn():
    drawn = (TokenLogprob("delivery", -2.0, (("billing", -0.1), ("delivery", -2.0))),)
    assert likeliest_label(drawn).text == "billing"
