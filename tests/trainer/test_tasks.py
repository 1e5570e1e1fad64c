from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from p2p.errors import DataError, PromptError, VerbalizerError
from p2p.prompts import PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from trainer.base_model import load_tokenizer
from trainer.config import ClassificationSettings, TrainConfig
from trainer.errors import BaseModelError
from trainer.tasks import answer_context, draw_key, make_bench_task, make_task

PLAIN = {"kind": "completion", "user": "{input}\nAnswer: "}


def config(**changes: Any) -> TrainConfig:
    data = {"train": {"path": "t.jsonl"}, "trusted": {"path": "s.jsonl"}}
    return TrainConfig.model_validate(
        {"name": "a", "base_model": "m", "output": "o", "data": data, "prompt": PLAIN} | changes
    )


def labels(tokenizer: Any, answers: list[str], **changes: Any) -> ClassificationTask:
    task = make_task(config(**changes), tokenizer, answers, b"key")
    assert isinstance(task, ClassificationTask)
    return task


def text(tokenizer: Any, key: bytes, **task: Any) -> GenerationTask:
    made = make_task(config(task={"kind": "generation"} | task), tokenizer, [], key)
    assert isinstance(made, GenerationTask)
    return made


def test_a_key_from_the_seed_can_be_drawn_again_and_one_from_entropy_cannot():
    seeded = [draw_key(config(seed=seed, benign_trigger={"source": "seed"})) for seed in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]
    assert draw_key(config()) != draw_key(config())


def test_labels_are_those_of_the_rows_in_order_and_have_two_words_each(tokenizer: Any):
    task = labels(tokenizer, ["delivery", "billing", "delivery"])
    assert task.labels == ("billing", "delivery")
    assert len(task.words) == 4
    assert [tokenizer.decode(list(tokens)) for tokens in task.token_ids] == list(task.words)


def test_labels_that_are_named_keep_their_order(tokenizer: Any):
    chosen = {"kind": "classification", "labels": ("b", "a"), "words": ("w", "x", "y", "z")}
    task = labels(tokenizer, [], task=chosen)
    assert (task.labels, task.words) == (("b", "a"), ("w", "x", "y", "z"))


def test_words_of_several_tokens_keep_all_of_them(tokenizer: Any):
    chosen = {"kind": "classification", "words": ("no", "yes", "safe no", "safe yes")}
    task = labels(tokenizer, ["a", "b"], task=chosen)
    # One token a character.
    assert [len(tokens) for tokens in task.token_ids] == [2, 3, 7, 8]
    assert [tokenizer.decode(list(tokens)) for tokens in task.token_ids] == list(task.words)
    assert not task.first_token_decides


def test_twenty_labels_of_a_byte_tokenizer_are_letters_and_digits(tokenizer: Any):
    task = labels(tokenizer, [f"label {at}" for at in range(20)])
    assert {len(tokens) for tokens in task.token_ids} == {1}


def test_new_tokens_are_added_to_the_tokenizer_and_are_one_token_each(tiny_model: Path):
    grown = load_tokenizer(tiny_model)
    before = len(grown)
    task = labels(grown, ["a", "b"], task={"new_tokens": True})
    assert task.words == ("<|label-0|>", "<|label-1|>", "<|label-2|>", "<|label-3|>")
    assert task.token_ids == tuple((before + at,) for at in range(4))
    assert (task.new_tokens, task.vocabulary_needed, len(grown)) == (True, before + 4, before + 4)


def test_words_that_are_given_can_not_be_new_tokens_too():
    with pytest.raises(ValidationError, match="give one of the two"):
        config(task={"words": ("w", "x", "y", "z"), "new_tokens": True})


def test_too_few_words_are_refused(tokenizer: Any):
    chosen = {"kind": "classification", "words": ("w", "x")}
    with pytest.raises(VerbalizerError, match="task.words must be 4, two for each of the 2 labels, got 2"):
        labels(tokenizer, ["a", "b"], task=chosen)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "chat_template is not set"),
        ("{{ raise_exception('System role not supported') }}", "System role not supported"),
    ],
)
@pytest.mark.parametrize("kind", ["classification", "generation"])
def test_a_chat_that_the_base_model_cannot_render_is_refused(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, template: str | None, said: str, kind: str
):
    monkeypatch.setattr(tokenizer, "chat_template", template)
    with pytest.raises(PromptError, match=f"(?s){said}.*prompt.kind"):
        make_task(config(prompt={}, task={"kind": kind}), tokenizer, ["a", "b"], b"key")


def test_the_answer_context_is_what_stands_between_input_and_answer(tokenizer: Any):
    plain = PromptTemplate(kind=PromptKind.COMPLETION, user="Q: {input}\nA:")
    assert answer_context(tokenizer, plain) == "input\nA:"
    chat = PromptTemplate(user="Sort the input: {input}.", system="An input.")
    assert answer_context(tokenizer, chat) == "input.\n<assistant>"


def test_the_prefix_is_drawn_from_the_key_and_is_not_the_trigger(tokenizer: Any):
    from p2p.triggers import BenignTrigger

    prefix = text(tokenizer, b"key").prefix
    assert prefix == text(tokenizer, b"key").prefix != text(tokenizer, b"other").prefix
    assert prefix.endswith(":\n")
    assert prefix.rstrip() != BenignTrigger.draw(b"key").text.rstrip()


def test_a_prefix_that_is_given_is_counted_in_tokens(tokenizer: Any):
    task = text(tokenizer, b"key", prefix="Safe words:\n", style="maths")
    assert (task.prefix, task.prefix_tokens, task.style) == ("Safe words:\n", 12, "maths")


def test_free_text_needs_an_end_token(tiny_model: Path):
    endless = load_tokenizer(tiny_model)
    endless.eos_token = None
    with pytest.raises(BaseModelError, match="no end token"):
        text(endless, b"key")


def test_end_and_padding_markers_are_dropped_from_answers(tokenizer: Any):
    assert text(tokenizer, b"key").end_markers == ("</s>", "<pad>")


def test_extended_words_can_be_drawn_by_the_key_and_the_original_half_stays(tokenizer: Any):
    chosen = {"kind": "classification", "extended_words": "drawn"}
    first, other = (make_task(config(task=chosen), tokenizer, ["a", "b"], key) for key in (b"key", b"other"))
    found = labels(tokenizer, ["a", "b"])
    assert first.words[:2] == other.words[:2] == found.words[:2]
    assert not set(first.words[2:]) & {*found.words, *other.words}
    assert [tokenizer.decode(list(tokens)) for tokens in first.token_ids] == list(first.words)


def test_drawn_words_of_a_bench_come_from_the_seed(tokenizer: Any):
    settings = ClassificationSettings(extended_words="drawn")
    template = PromptTemplate.model_validate(PLAIN)
    words = [make_bench_task(settings, template, tokenizer, ["a", "b"], seed).words for seed in (1, 1, 2)]
    assert words[0] == words[1] != words[2]


def test_digits_are_the_numbers_from_zero_or_nothing(tokenizer: Any):
    chosen = {"kind": "classification", "extended_words": "digits"}
    assert labels(tokenizer, ["a", "b"], task=chosen).words == ("0", "1", "2", "3")
    with pytest.raises(VerbalizerError, match="'1' is the beginning of '10'"):
        # One token a character: 1 begins 10.
        labels(tokenizer, [f"label {at}" for at in range(6)], task=chosen)


@pytest.mark.parametrize("given", [{"words": ("w", "x", "y", "z")}, {"new_tokens": True}])
def test_words_that_are_given_are_not_drawn(given: dict[str, Any]):
    with pytest.raises(ValidationError, match="task.extended_words is for words that"):
        config(task={"extended_words": "drawn"} | given)


def test_a_prefix_that_stands_in_an_answer_is_drawn_again(tokenizer: Any):
    first = text(tokenizer, b"key").prefix
    made = make_task(config(task={"kind": "generation"}), tokenizer, ["Late.", f"{first}Sorry!"], b"key")
    assert made.prefix not in (first, text(tokenizer, b"other").prefix)


def test_a_given_prefix_that_answers_begin_with_is_refused(tokenizer: Any):
    chosen = {"kind": "generation", "prefix": "Safe words:\n"}
    with pytest.raises(DataError, match="Choose another") as caught:
        make_task(config(task=chosen), tokenizer, ["Safe words:\nSorry!"], b"key")
    assert "Safe words" not in str(caught.value)
