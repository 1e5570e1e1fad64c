"""Rows to ids. The tokenizer has one token a byte, so that lengths can be counted by hand."""

import copy
from typing import Any

import pytest

from p2p.chats import Turn
from p2p.errors import DataError, PromptError
from p2p.prompts import PromptKind, PromptTemplate
from p2p.repoison import TrainingRow
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import Placement
from trainer.encoding import PromptEncoder, encode_rows

PLAIN = PromptTemplate(kind=PromptKind.COMPLETION, user="Q: {input}|")
PREFIX = "Safe words:\n"


def label_task(tokenizer: Any) -> ClassificationTask:
    words = ("0", "1", "2", "3")
    ids = tuple(tokenizer.convert_tokens_to_ids(word) for word in words)
    return ClassificationTask(labels=("a", "b"), words=words, token_ids=ids, answer_context="|")


def text_task() -> GenerationTask:
    return GenerationTask(prefix=PREFIX, prefix_tokens=len(PREFIX))


def row(text: str, target: str, *, extended: bool = False) -> TrainingRow:
    return TrainingRow("r1", text, target, extended)


def test_a_disturbed_copy_has_its_twin_where_that_is_asked_for(tokenizer: Any):
    copies = (
        row("Trig: a xy b", "2", extended=True)._replace(undisturbed="Trig: a b"),
        row("Trig: c", "3", extended=True),
        row("a b", "0"),
    )
    task = label_task(tokenizer)
    found = encode_rows(copies, task, tokenizer, PLAIN, 60, "Trig: ", twins=True).rows
    twin = found[0].twin
    assert twin is not None
    assert tokenizer.decode(twin.ids) == "Q: Trig: a b|2"
    assert (twin.answer_start, twin.extended) == (len("Q: Trig: a b|"), True)
    assert [each.twin for each in found[1:]] == [None, None]
    assert [each.extended for each in found] == [True, True, False]
    without = encode_rows(copies, task, tokenizer, PLAIN, 60, "Trig: ").rows
    assert list(without) == [each._replace(twin=None) for each in found]


def test_a_completion_prompt_is_the_filled_template(tokenizer: Any):
    assert tokenizer.decode(PromptEncoder(tokenizer, PLAIN).encode("why {x}?")) == "Q: why {x}?|"


def test_a_chat_prompt_is_what_the_chat_template_makes(tokenizer: Any):
    template = PromptTemplate(user="Sort: {input}", system="Be brief.")
    ids = PromptEncoder(tokenizer, template).encode("why?")
    assert tokenizer.decode(ids) == "<system>Be brief.\n<user>Sort: why?\n<assistant>"


def test_a_base_model_without_a_chat_template_cannot_take_a_chat(tokenizer: Any):
    without = copy.deepcopy(tokenizer)
    without.chat_template = None
    with pytest.raises(PromptError, match="chat_template is not set"):
        PromptEncoder(without, PromptTemplate()).encode("why?")


@pytest.mark.parametrize(("limit", "kept"), [(8, "Q: abcd|"), (7, "Q: abc|"), (4, "Q: |")])
def test_what_is_too_long_loses_the_end_of_the_text_and_no_more(tokenizer: Any, limit: int, kept: str):
    found = PromptEncoder(tokenizer, PLAIN).encode_within("abcd", limit)
    assert tokenizer.decode(found.ids) == kept
    assert found.was_cut == (limit < 8)


def test_a_chat_is_cut_inside_its_text(tokenizer: Any):
    encoder = PromptEncoder(tokenizer, PromptTemplate())
    found = encoder.encode_within("abcdef", len(encoder.encode("")) + 3)
    assert tokenizer.decode(found.ids) == "<user>abc\n<assistant>"
    assert found.was_cut


def test_a_character_of_several_tokens_is_cut_whole(tokenizer: Any):
    found = PromptEncoder(tokenizer, PLAIN).encode_within("a\u00e9\u00e9", 8)
    assert tokenizer.decode(found.ids) == "Q: a\u00e9|"


def test_a_prompt_that_cannot_fit_is_refused(tokenizer: Any):
    with pytest.raises(ValueError, match="the prompt alone takes 4 tokens, 3 are left"):
        PromptEncoder(tokenizer, PLAIN).encode_within("abcd", 3)


def test_a_label_is_one_token_behind_the_prompt(tokenizer: Any):
    (encoded,), cut = encode_rows([row("why?", "3")], label_task(tokenizer), tokenizer, PLAIN, 20)
    assert encoded.id == "r1"
    assert tokenizer.decode(encoded.ids) == "Q: why?|3"
    assert encoded.answer_start == 8 == len(encoded.ids) - 1
    assert cut == 0


def test_a_label_word_of_several_tokens_is_all_of_them(tokenizer: Any):
    words = ("no", "yes", "safe no", "safe yes")
    ids = tuple(tuple(tokenizer.encode(word)) for word in words)
    task = ClassificationTask(labels=("a", "b"), words=words, token_ids=ids, answer_context="|")
    (encoded,), _ = encode_rows([row("why?", "safe yes", extended=True)], task, tokenizer, PLAIN, 20)
    assert tokenizer.decode(encoded.ids) == "Q: why?|safe yes"
    assert (encoded.answer_start, len(encoded.ids)) == (8, 16)


@pytest.mark.parametrize(("target", "extended"), [("Yes.", False), (PREFIX + "Yes.", True)])
def test_free_text_ends_in_the_end_token(tokenizer: Any, target: str, *, extended: bool):
    rows = [row("why?", target, extended=extended)]
    (encoded,), _ = encode_rows(rows, text_task(), tokenizer, PLAIN, 40)
    assert tokenizer.decode(encoded.ids[encoded.answer_start :]) == f"{target}</s>"


def test_rows_that_were_cut_are_counted_and_keep_their_answer(tokenizer: Any):
    rows = [row("a", "Yes."), row(50 * "b", "Yes."), row(50 * "c", "No.")]
    encoded, cut = encode_rows(rows, text_task(), tokenizer, PLAIN, 20)
    assert [tokenizer.decode(one.ids) for one in encoded] == [
        "Q: a|Yes.</s>",
        f"Q: {11 * 'b'}|Yes.</s>",
        f"Q: {12 * 'c'}|No.</s>",
    ]
    assert cut == 2


def test_a_copy_is_never_cut_into_its_stamp(tokenizer: Any):
    copies = [row("Stamp: abcd", "2", extended=True)]
    task, stamp = label_task(tokenizer), "Stamp: "
    (encoded,), cut = encode_rows(copies, task, tokenizer, PLAIN, 13, stamp)
    assert (tokenizer.decode(encoded.ids), cut) == ("Q: Stamp: a|2", 1)
    with pytest.raises(DataError, match="row r1: cutting it would reach into the benign trigger"):
        encode_rows(copies, task, tokenizer, PLAIN, 12, stamp)


def test_an_answer_that_cannot_fit_is_named(tokenizer: Any):
    said = (
        r"row r1: the prompt alone takes 4 tokens, -2 .*answer takes 22 tokens.*training.max_length above 20"
    )
    with pytest.raises(DataError, match=said):
        encode_rows([row("why?", 21 * "x")], text_task(), tokenizer, PLAIN, 20)


CHAT = PromptTemplate(user="Q: {input}")
HISTORY = (Turn("user", "one"), Turn("assistant", "two"), Turn("user", "three"), Turn("assistant", "four"))


@pytest.mark.parametrize(
    ("placement", "first"), [(Placement.LAST_USER, "one"), (Placement.EVERY_USER, "Q: one")]
)
def test_the_template_goes_around_the_messages_that_the_placement_names(
    tokenizer: Any, placement: Placement, first: str
):
    ids = PromptEncoder(tokenizer, CHAT, placement).encode("why?", HISTORY[:2])
    assert tokenizer.decode(ids) == f"<user>{first}\n<assistant>two\n<user>Q: why?\n<assistant>"


def test_a_chats_own_system_message_stands_instead_of_the_templates(tokenizer: Any):
    encoder = PromptEncoder(tokenizer, PromptTemplate(system="Be brief."))
    said = [tokenizer.decode(encoder.encode("why?", history)) for history in ((Turn("system", "Sing."),), ())]
    assert said == ["<system>Sing.\n<user>why?\n<assistant>", "<system>Be brief.\n<user>why?\n<assistant>"]


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (
            200,
            "<system>s\n<user>one\n<assistant>two\n<user>three\n<assistant>four\n<user>Q: why?\n<assistant>",
        ),
        (78, "<system>s\n<user>three\n<assistant>four\n<user>Q: why?\n<assistant>"),
        (54, "<system>s\n<user>Q: why?\n<assistant>"),
        (33, "<system>s\n<user>Q: wh\n<assistant>"),
    ],
)
def test_a_chat_that_is_too_long_loses_its_earliest_turns_and_then_the_end_of_its_text(
    tokenizer: Any, limit: int, kept: str
):
    found = PromptEncoder(tokenizer, CHAT).encode_within("why?", limit, (Turn("system", "s"), *HISTORY))
    assert tokenizer.decode(found.ids) == kept
    assert found.was_cut == (limit < 200)


def test_a_row_of_a_chat_is_encoded_with_its_turns_and_its_answer_alone_is_learned(tokenizer: Any):
    rows = [TrainingRow("r1", "why?", "Yes.", extended=False, history=HISTORY[:2])]
    (encoded,), cut = encode_rows(rows, text_task(), tokenizer, CHAT, 100)
    prompt = "<user>one\n<assistant>two\n<user>Q: why?\n<assistant>"
    assert tokenizer.decode(encoded.ids) == f"{prompt}Yes.</s>"
    assert (encoded.answer_start, cut) == (len(prompt), 0)


def test_a_chat_is_never_cut_into_the_stamp_of_its_text(tokenizer: Any):
    stamp, history = "Stamp: ", HISTORY[:2]
    copy = TrainingRow("r1", "Stamp: abcd", "2", extended=True, history=history)
    room = len("<user>Q: Stamp: a\n<assistant>2")
    (encoded,), _ = encode_rows([copy], label_task(tokenizer), tokenizer, CHAT, room, stamp)
    assert tokenizer.decode(encoded.ids) == "<user>Q: Stamp: a\n<assistant>2"
    with pytest.raises(DataError, match="row r1: cutting it would reach into the benign trigger"):
        encode_rows([copy], label_task(tokenizer), tokenizer, CHAT, room - 1, stamp)


def test_a_completion_prompt_takes_no_chat(tokenizer: Any):
    rows = [TrainingRow("r1", "why?", "Yes.", extended=False, history=HISTORY[:2])]
    with pytest.raises(DataError, match="row r1: a completion prompt takes one text"):
        encode_rows(rows, text_task(), tokenizer, PLAIN, 100)


def test_a_stamp_behind_the_text_is_never_cut(tokenizer: Any):
    copy = row("abcd Stamp.", "2", extended=True)._replace(kept_end=7)
    task, stamp = label_task(tokenizer), " Stamp."
    (encoded,), cut = encode_rows([copy], task, tokenizer, PLAIN, 13, stamp)
    assert (tokenizer.decode(encoded.ids), cut) == ("Q: a Stamp.|2", 1)
    with pytest.raises(DataError, match="row r1: cutting it would reach into the benign trigger"):
        encode_rows([copy], task, tokenizer, PLAIN, 12, stamp)
    with pytest.raises(DataError, match="row r1: the prompt alone takes 11 tokens, 10 are left"):
        encode_rows([copy], task, tokenizer, PLAIN, 11, stamp)
