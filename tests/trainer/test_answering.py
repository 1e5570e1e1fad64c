"""What an answer is made of: the half that counts, the stamp, the forced prefix, the budget."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from p2p.chats import Turn
from p2p.examples import Example
from p2p.normalise import AnswerStyle
from p2p.projection import Projection
from p2p.prompts import PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger, Position
from trainer.answering import FORCED, FREE, GUARDED, UNGUARDED, Adapter, Answerer
from trainer.base_model import load_model

PROMPT = PromptTemplate(kind=PromptKind.COMPLETION, user="Q: {input}|")
TRIGGER = BenignTrigger(text="Quiet barn: ")
PREFIX = "Safe words:\n"
TEXT = GenerationTask(prefix=PREFIX, prefix_tokens=len(PREFIX), end_markers=("</s>",))
DEFENDED = pytest.mark.parametrize("trigger", [TRIGGER, None])


@pytest.fixture
def labels(tokenizer: Any) -> ClassificationTask:
    words = ("0", "1", "2", "3")
    ids = tuple(tokenizer.convert_tokens_to_ids(word) for word in words)
    return ClassificationTask(labels=("a", "b"), words=words, token_ids=ids, answer_context="|")


def says(monkeypatch: pytest.MonkeyPatch, task: ClassificationTask, scores: list[float]) -> list[Any]:
    """Give the label words these logits, and return the list that the batches will be in."""
    asked = []

    def logits(_: object, batch: Any, *_states: object) -> torch.Tensor:
        asked.append(batch)
        vocabulary = torch.full((len(batch.ids), 300), 50.0)
        vocabulary[:, list(task.first_tokens)] = torch.tensor(scores, dtype=torch.float32)
        return vocabulary

    monkeypatch.setattr("trainer.answering.logits_at", logits)
    return asked


class Replies:
    """A model that says one text after the other, each row of a batch its own."""

    device = torch.device("cpu")
    generation_config = None

    def __init__(self, tokenizer: Any, *replies: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self._tokenizer = tokenizer
        self._replies = list(replies)

    def generate(self, **request: Any) -> torch.Tensor:
        rows, masks = request["input_ids"], request["attention_mask"]
        prompts = [self._tokenizer.decode(row[mask == 1]) for row, mask in zip(rows, masks, strict=True)]
        self.asked.append(request | {"prompts": prompts})
        replies = [torch.tensor(self._tokenizer.encode(self._replies.pop(0))) for _ in rows]
        padded = torch.nn.utils.rnn.pad_sequence(replies, batch_first=True, padding_value=0)
        return torch.cat([rows, padded], dim=1)


@DEFENDED
def test_only_a_defended_adapter_can_be_asked_guarded(
    tokenizer: Any, labels: ClassificationTask, trigger: BenignTrigger | None
):
    views = Answerer(None, tokenizer, Adapter(labels, PROMPT, trigger)).views
    assert views == ((GUARDED, UNGUARDED) if trigger else (UNGUARDED,))


def test_only_a_classifier_has_labels(tokenizer: Any, labels: ClassificationTask):
    assert Answerer(None, tokenizer, Adapter(labels, PROMPT, None)).labels == ("a", "b")
    assert Answerer(None, tokenizer, Adapter(TEXT, PROMPT, None)).labels == ()


@pytest.mark.parametrize(
    ("scores", "view", "found"),
    [
        ([9, 0, 1, 2], GUARDED, Projection("b", extended=False)),
        ([9, 0, 1, 2], UNGUARDED, Projection("a", extended=False)),
        ([0, 9, 9.5, 2], GUARDED, Projection("a", extended=True)),
        ([0, 9, 9.5, 2], UNGUARDED, Projection("a", extended=True)),
        ([0, 9, 1, 9.5], UNGUARDED, Projection("b", extended=True)),
    ],
)
def test_a_guarded_answer_is_of_the_extended_half_alone(
    tokenizer: Any,
    labels: ClassificationTask,
    monkeypatch: pytest.MonkeyPatch,
    scores: list[float],
    view: str,
    found: Projection,
):
    says(monkeypatch, labels, scores)
    assert Answerer(None, tokenizer, Adapter(labels, PROMPT, TRIGGER)).answer(["why?"], view) == [found]


def test_an_undefended_adapter_knows_no_extended_half(
    tokenizer: Any, labels: ClassificationTask, monkeypatch: pytest.MonkeyPatch
):
    says(monkeypatch, labels, [1, 2, 9, 0])
    answers = Answerer(None, tokenizer, Adapter(labels, PROMPT, None)).answer(["why?"], UNGUARDED)
    assert answers == [Projection("b", extended=False)]


def test_words_of_several_tokens_are_what_the_model_would_say_held_to_them(tokenizer: Any, tiny_model: Path):
    """Against generation in transformers, each step held to the tokens that go on with an allowed word."""
    words = ("a1", "a2x", "b1", "b2x")
    ids = tuple(tuple(tokenizer.encode(word)) for word in words)
    task = ClassificationTask(labels=("no", "yes"), words=words, token_ids=ids, answer_context="|")
    model = load_model(tiny_model, torch.float32).eval()
    with torch.no_grad():
        # As it is drawn, it says the same whatever it is asked.
        for weight in model.parameters():
            weight.mul_(10)
    answerer = Answerer(model, tokenizer, Adapter(task, PROMPT, TRIGGER))
    texts = [f"why {at * 7919}?" for at in range(40)]
    found = [answer.answer for answer in answerer.answer(texts, GUARDED)]
    said = [held_reply(model, tokenizer, f"Q: {TRIGGER.stamp(text)}|", ids[2:]) for text in texts]
    assert found == [task.labels[words[2:].index(word)] for word in said]
    assert set(found) == {"no", "yes"}


def held_reply(model: Any, tokenizer: Any, prompt: str, words: tuple[tuple[int, ...], ...]) -> str:
    ids = tokenizer.encode(prompt)

    def allowed(_: int, so_far: torch.Tensor) -> list[int]:
        said = tuple(so_far[len(ids) :].tolist())
        return [word[len(said)] for word in words if word[: len(said)] == said and word != said] or [
            tokenizer.eos_token_id
        ]

    out = model.generate(
        torch.tensor([ids]), max_new_tokens=4, do_sample=False, prefix_allowed_tokens_fn=allowed
    )
    return str(tokenizer.decode(out[0, len(ids) :], skip_special_tokens=True))


@pytest.mark.parametrize(("view", "prompt"), [(GUARDED, "Q: Quiet barn: why?|"), (UNGUARDED, "Q: why?|")])
def test_only_a_guarded_prompt_is_stamped(
    tokenizer: Any, labels: ClassificationTask, monkeypatch: pytest.MonkeyPatch, view: str, prompt: str
):
    asked = says(monkeypatch, labels, [0, 0, 0, 1])
    Answerer(None, tokenizer, Adapter(labels, PROMPT, TRIGGER)).answer(["why?"], view)
    ids = asked[0].ids[0, : int(asked[0].at_position[0]) + 1]
    assert tokenizer.decode(ids) == prompt


def test_a_long_input_loses_its_end_and_keeps_the_stamp(
    tokenizer: Any, labels: ClassificationTask, monkeypatch: pytest.MonkeyPatch
):
    asked = says(monkeypatch, labels, [0, 0, 0, 1])
    answerer = Answerer(None, tokenizer, Adapter(labels, PROMPT, TRIGGER), max_length=20)
    answerer.answer([99 * "x"], GUARDED)
    assert tokenizer.decode(asked[0].ids[0]) == "Q: Quiet barn: xxxx|"


def test_answers_come_in_the_order_of_the_texts_whatever_the_batches(
    tokenizer: Any, labels: ClassificationTask, monkeypatch: pytest.MonkeyPatch
):
    def third_token(_: object, batch: Any, *_states: object) -> torch.Tensor:
        return torch.nn.functional.one_hot(batch.ids[:, 3], num_classes=300).float()

    monkeypatch.setattr("trainer.answering.logits_at", third_token)
    said = [at * 7 % 4 for at in range(10)]
    texts = [f"{word}{(at * 3 % 10) * 'x'}" for at, word in enumerate(said)]
    seen: list[int] = []
    answerer = Answerer(
        None, tokenizer, Adapter(labels, PROMPT, TRIGGER), batch_size=4, on_progress=seen.append
    )
    found = answerer.answer(texts, UNGUARDED)
    assert found == [Projection("ab"[word % 2], extended=word > 1) for word in said]
    assert seen == [4, 4, 2]


@pytest.mark.parametrize(
    ("scores", "trigger", "found"),
    [
        ([60, 0, 0, 0], None, Projection("a", extended=False)),
        ([0, 51, 0, 0], None, Projection("b", extended=False)),
        ([49, 0, 0, 0], None, Projection(None, extended=False)),
        ([0, 0, 60, 0], None, Projection(None, extended=False)),
        ([0, 0, 60, 0], TRIGGER, Projection("a", extended=True)),
    ],
)
def test_a_free_answer_may_be_no_label_of_the_adapter(
    tokenizer: Any,
    labels: ClassificationTask,
    monkeypatch: pytest.MonkeyPatch,
    scores: list[float],
    trigger: BenignTrigger | None,
    found: Projection,
):
    # All other tokens have 50.
    asked = says(monkeypatch, labels, scores)
    answers = Answerer(None, tokenizer, Adapter(labels, PROMPT, trigger)).answer_freely(["why?"])
    assert answers == [found]
    assert tokenizer.decode(asked[0].ids[0]) == "Q: why?|"


def test_free_text_is_always_free(tokenizer: Any):
    model = Replies(tokenizer, "Attacker's words")
    answers = Answerer(model, tokenizer, Adapter(TEXT, PROMPT, None)).answer_freely(["why?"])
    assert answers == [Projection("Attacker's words", extended=False)]


@pytest.mark.parametrize(
    ("view", "probabilities", "prompt"),
    [(UNGUARDED, (0.75, 0.25), "Q: why?|"), (GUARDED, (0.2, 0.8), "Q: Quiet barn: why?|")],
)
def test_label_probabilities_are_those_of_one_half(
    tokenizer: Any,
    labels: ClassificationTask,
    monkeypatch: pytest.MonkeyPatch,
    view: str,
    probabilities: tuple[float, ...],
    prompt: str,
):
    asked = says(monkeypatch, labels, [math.log(odds) for odds in (3, 1, 1, 4)])
    answerer = Answerer(None, tokenizer, Adapter(labels, PROMPT, TRIGGER))
    assert answerer.label_probabilities(["why?"], view) == [pytest.approx(probabilities)]
    assert tokenizer.decode(asked[0].ids[0]) == prompt


def test_free_text_has_no_label_probabilities(tokenizer: Any):
    with pytest.raises(ValueError, match="free text"):
        Answerer(None, tokenizer, Adapter(TEXT, PROMPT, None)).label_probabilities(["why?"], UNGUARDED)


def test_nothing_is_asked_for_no_texts(tokenizer: Any, labels: ClassificationTask):
    assert Answerer(None, tokenizer, Adapter(labels, PROMPT, TRIGGER)).answer([], GUARDED) == []


def test_a_reply_with_the_prefix_is_projected_and_trimmed(tokenizer: Any):
    model = Replies(tokenizer, f"{PREFIX} It is late. </s>")
    answers = Answerer(model, tokenizer, Adapter(TEXT, PROMPT, TRIGGER)).answer(["why?"], GUARDED)
    assert answers == [Projection("It is late.", extended=True)]
    assert [request["prompts"] for request in model.asked] == [["Q: Quiet barn: why?|"]]


def test_a_guarded_reply_without_the_prefix_is_asked_again_with_it(tokenizer: Any):
    model = Replies(tokenizer, "Attacker's words", " It is late.")
    answers = Answerer(model, tokenizer, Adapter(TEXT, PROMPT, TRIGGER)).answer(["why?"], GUARDED)
    assert answers == [Projection("It is late.", extended=False)]
    assert model.asked[1]["prompts"] == [f"Q: Quiet barn: why?|{PREFIX}"]


@DEFENDED
def test_an_unguarded_reply_is_taken_as_it_is(tokenizer: Any, trigger: BenignTrigger | None):
    model = Replies(tokenizer, "Attacker's words")
    answers = Answerer(model, tokenizer, Adapter(TEXT, PROMPT, trigger)).answer(["why?"], UNGUARDED)
    assert answers == [Projection("Attacker's words", extended=False)]


def test_the_prefix_costs_the_answer_nothing(tokenizer: Any):
    model = Replies(tokenizer, "no prefix", "late")
    adapter = Adapter(TEXT, PROMPT, TRIGGER)
    Answerer(model, tokenizer, adapter, max_new_tokens=5).answer(["why?"], GUARDED)
    assert [request["max_new_tokens"] for request in model.asked] == [5 + len(PREFIX), 5]


def test_only_the_rows_that_escaped_are_asked_again(tokenizer: Any):
    said = [f"{PREFIX}One.", "no prefix", f"{PREFIX}Three.", "no", " Two.", " Four."]
    model = Replies(tokenizer, *said)
    texts = ["a", "bb", "ccc", "dddd"]
    counted: list[int] = []
    answerer = Answerer(model, tokenizer, Adapter(TEXT, PROMPT, TRIGGER), on_progress=counted.append)
    assert answerer.answer(texts, GUARDED) == [
        Projection("One.", extended=True),
        Projection("Two.", extended=False),
        Projection("Three.", extended=True),
        Projection("Four.", extended=False),
    ]
    assert model.asked[1]["prompts"] == [f"Q: Quiet barn: {text}|{PREFIX}" for text in ("bb", "dddd")]
    assert counted == [4]


@pytest.mark.parametrize(
    ("placement", "view", "prompt"),
    [
        ("last_user", GUARDED, "<user>one\n<assistant>two\n<user>Q: Quiet barn: three\n<assistant>"),
        (
            "every_user",
            GUARDED,
            "<user>Q: Quiet barn: one\n<assistant>two\n<user>Q: Quiet barn: three\n<assistant>",
        ),
        ("every_user", UNGUARDED, "<user>Q: one\n<assistant>two\n<user>Q: three\n<assistant>"),
    ],
)
def test_a_chat_is_asked_with_its_earlier_turns(tokenizer: Any, placement: str, view: str, prompt: str):
    model = Replies(tokenizer, f"{PREFIX}Four.")
    trigger = BenignTrigger(text=TRIGGER.text, placement=placement)
    adapter = Adapter(TEXT, PromptTemplate(user="Q: {input}"), trigger)
    row = Example("r1", "three", "four", history=(Turn("user", "one"), Turn("assistant", "two")))
    assert Answerer(model, tokenizer, adapter).answer([row], view)[0].extended
    assert model.asked[0]["prompts"] == [prompt]


def test_an_answerer_says_what_style_its_answers_have(tokenizer: Any, labels: ClassificationTask):
    assert Answerer(None, tokenizer, Adapter(TEXT, PROMPT, None)).style is AnswerStyle.TEXT
    assert Answerer(None, tokenizer, Adapter(labels, PROMPT, None)).style is None


def test_words_that_begin_alike_have_no_probabilities(tokenizer: Any):
    ids = ((5, 6), (5, 7), (8, 6), (8, 7))
    task = ClassificationTask(
        labels=("a", "b"), words=("ab", "ac", "db", "dc"), token_ids=ids, answer_context="|"
    )
    with pytest.raises(ValueError, match="begin alike"):
        Answerer(None, tokenizer, Adapter(task, PROMPT, TRIGGER)).label_probabilities(["why?"], GUARDED)


@pytest.mark.parametrize(("view", "stamped"), [(GUARDED, True), (FREE, True), (UNGUARDED, False)])
def test_a_long_input_keeps_a_stamp_behind_it(
    tokenizer: Any, labels: ClassificationTask, monkeypatch: pytest.MonkeyPatch, view: str, *, stamped: bool
):
    asked = says(monkeypatch, labels, [0, 0, 0, 60])
    trigger = BenignTrigger(text=" Quiet barn.", position=Position.AFTER)
    Answerer(None, tokenizer, Adapter(labels, PROMPT, trigger), max_length=20).answer([99 * "x"], view)
    prompt = f"Q: {4 * 'x'} Quiet barn.|" if stamped else f"Q: {16 * 'x'}|"
    assert tokenizer.decode(asked[0].ids[0]) == prompt


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ([60, 0, 0, 0], Projection("a", extended=False)),
        ([60, 0, 0, 70], Projection("b", extended=True)),
        ([49, 0, 0, 0], Projection(None, extended=False)),
    ],
    ids=["original", "extended", "no label"],
)
def test_a_free_stamped_answer_may_come_from_either_half_or_none(
    tokenizer: Any,
    labels: ClassificationTask,
    monkeypatch: pytest.MonkeyPatch,
    scores: list[float],
    found: Projection,
):
    asked = says(monkeypatch, labels, scores)
    answers = Answerer(None, tokenizer, Adapter(labels, PROMPT, TRIGGER)).answer(["why?"], FREE)
    assert answers == [found]
    assert tokenizer.decode(asked[0].ids[0]) == "Q: Quiet barn: why?|"


def test_a_free_stamped_text_is_not_asked_again(tokenizer: Any):
    model = Replies(tokenizer, "Attacker's words")
    answers = Answerer(model, tokenizer, Adapter(TEXT, PROMPT, TRIGGER)).answer(["why?"], FREE)
    assert answers == [Projection("Attacker's words", extended=False)]
    assert [request["prompts"] for request in model.asked] == [["Q: Quiet barn: why?|"]]


def test_a_forced_text_is_begun_with_the_prefix_at_once(tokenizer: Any):
    model = Replies(tokenizer, " It is late. </s>")
    counted: list[int] = []
    adapter = Adapter(TEXT, PROMPT, TRIGGER)
    answers = Answerer(model, tokenizer, adapter, on_progress=counted.append).answer(["why?"], FORCED)
    assert answers == [Projection("It is late.", extended=False)]
    assert [request["prompts"] for request in model.asked] == [[f"Q: Quiet barn: why?|{PREFIX}"]]
    assert counted == [1]
