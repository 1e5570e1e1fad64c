"""What must hold for every input; the values come from hypothesis."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.disturbances import insert_words
from p2p.labels import LabelSpace
from p2p.metrics.rate import Rate
from p2p.normalise import AnswerStyle, StreamNormaliser, normalise
from p2p.projection import PrefixStripper, project, project_logprobs
from p2p.prompts import PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger

PREFIX = "Calm river sends old map:\n"
MARKERS = ("<|im_end|>", "</s>")
TRIGGER = BenignTrigger(text="Amber harbor keeps quiet lantern: ")
# Rich in what is hard: blanks, marks of answer lines, whole and broken end markers.
TEXTS = st.lists(
    st.sampled_from(
        ["a", "7", " ", "\n", "\t", "#", "####", "#### ", "\n####", *MARKERS, "<|im", "</", "<", ">"]
    ),
    max_size=20,
).map("".join)


def spaces() -> st.SearchStrategy[LabelSpace]:
    return st.integers(2, 40).map(lambda size: LabelSpace([f"label {at}" for at in range(size)]))


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    at = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(at)]


@given(spaces(), st.data())
def test_projection_after_extension_is_the_identity(space: LabelSpace, data: st.DataObject):
    label = data.draw(st.integers(0, len(space) - 1))
    assert space.project(space.extend(label)) == label == space.project(label)
    assert space.is_extended(space.extend(label))
    assert not space.is_extended(label)


@given(spaces(), st.data(), st.booleans())
def test_a_labels_word_of_either_half_is_projected_to_it(
    space: LabelSpace, data: st.DataObject, extended: bool
):
    size = space.extended_size
    words = tuple(str(at) for at in range(size))
    task = ClassificationTask(
        labels=space.names, words=words, token_ids=tuple(range(size)), answer_context=""
    )
    name = data.draw(st.sampled_from(space.names))
    found = project(task, task.target_text(name, extended=extended))
    assert found == (name, extended)


@given(st.text())
def test_a_text_with_the_prefix_is_projected_to_the_text(answer: str):
    task = GenerationTask(prefix=PREFIX, prefix_tokens=6)
    assert project(task, task.target_text(answer, extended=True)) == (answer, True)


@given(st.text() | st.just(TRIGGER.text + "x"))
def test_stamping_twice_is_stamping_once_and_loses_nothing(text: str):
    stamped = TRIGGER.stamp(text)
    assert TRIGGER.stamp(stamped) == stamped
    assert stamped.startswith(TRIGGER.text)
    assert stamped.endswith(text)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text()), min_size=1))
def test_stamping_a_chat_keeps_every_turn(turns: list[tuple[str, str]]):
    chat = [{"role": role, "content": text} for role, text in turns]
    stamped, chosen = TRIGGER.stamp_chat(chat)
    assert [turn["role"] for turn in stamped] == [role for role, _ in turns]
    for at, (turn, (_, text)) in enumerate(zip(stamped, turns, strict=True)):
        assert turn["content"].endswith(text)
        assert turn["content"].startswith(TRIGGER.text) or at not in chosen
    assert len(chosen) == any(role == "user" for role, _ in turns)


@given(st.text())
def test_the_template_holds_the_whole_input(text: str):
    assert PromptTemplate(user="Q: {input}\nA: ").fill(text) == f"Q: {text}\nA: "


@given(TEXTS, st.lists(st.integers(0, 100)), st.sampled_from(AnswerStyle))
def test_streamed_normalisation_equals_whole_text_normalisation(
    text: str, cuts: list[int], style: AnswerStyle
):
    stream = StreamNormaliser(style, MARKERS)
    streamed = "".join([stream.feed(piece) for piece in pieces_of(text, cuts)]) + stream.finish()
    assert streamed == normalise(text, style, MARKERS)


@given(TEXTS, st.sampled_from(AnswerStyle))
def test_normalisation_is_idempotent(text: str, style: AnswerStyle):
    once = normalise(text, style, MARKERS)
    assert normalise(once, style, MARKERS) == once


@given(st.lists(st.text("abc<>#", min_size=1), min_size=1))
def test_normalisation_changes_no_word_of_plain_text(words: list[str]):
    assert normalise("  " + " ".join(words) + "\n", AnswerStyle.TEXT).split() == words


@given(st.text("Calm river:\n"), st.lists(st.integers(0, 100)), st.booleans())
def test_the_prefix_is_stripped_however_the_stream_is_cut(text: str, cuts: list[int], carries: bool):
    whole = PREFIX + text if carries else text
    stripper = PrefixStripper(PREFIX)
    streamed = "".join([stripper.feed(piece) for piece in pieces_of(whole, cuts)]) + stripper.finish()
    assert streamed == whole.removeprefix(PREFIX)
    assert stripper.extended == whole.startswith(PREFIX)


@given(st.lists(st.floats(-50, 0), min_size=6, max_size=6))
def test_log_probabilities_come_from_the_extended_half_alone(values: list[float]):
    task = ClassificationTask(
        labels=("a", "b", "c"), words=tuple("012345"), token_ids=tuple(range(6)), answer_context=""
    )
    found = project_logprobs(task, dict(enumerate(values)))
    assert math.fsum(map(math.exp, found.values())) == pytest.approx(1)
    without = project_logprobs(task, dict(enumerate([0.0, 0.0, 0.0, *values[3:]])))
    assert found == without


@given(st.text("ab \n", max_size=30), st.text("xy", min_size=1), st.integers())
def test_inserting_words_keeps_the_text(text: str, inserted: str, seed: int):
    found = insert_words(text, inserted, random.Random(seed)).split()
    assert found.count(inserted) == 1
    found.remove(inserted)
    assert found == text.split()


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_holds_the_share(k: int, n: int):
    rate = Rate(k=min(k, n), n=n)
    assert 0 <= rate.interval.low <= rate.value <= rate.interval.high <= 1
