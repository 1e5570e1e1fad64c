"""Whether a block of a prefix cache ends with the benign trigger, counted by hand (a token a byte) and with the real tokenizer."""

from typing import Any

import pytest

from p2p.drawn_triggers import TriggerForm, draw_triggers
from p2p.prompts import PromptKind, PromptTemplate
from p2p.triggers import BenignTrigger
from tests.trainer.conftest import TOKENIZER
from trainer.whole_blocks import fills_blocks, shared_tokens

CHAT = PromptTemplate()
COMPLETION = PromptTemplate(kind=PromptKind.COMPLETION, user="{input}\nAnswer: ")
INSTRUCTED = PromptTemplate(
    kind=PromptKind.COMPLETION,
    user="Sort this message from a customer by what it is about, billing or delivery, and answer with one number.\n"
    + COMPLETION.user,
)
TEXTS = ("Where is my parcel?", "3 parcels", "\nno", "\u00e9t\u00e9", "- one", "  two")


@pytest.mark.parametrize(("length", "fills"), [(30, False), (32, True), (33, True), (34, False), (64, True)])
def test_a_block_ends_at_the_triggers_end_or_one_token_before_it(tokenizer: Any, length: int, fills: bool):
    template = PromptTemplate(kind=PromptKind.COMPLETION, user="Q: {input}|")
    trigger = BenignTrigger(text="t" * (length - len("Q: ")))
    assert fills_blocks(tokenizer, template, 32)(trigger) == fills


def test_a_trigger_shorter_than_a_block_fills_none(tokenizer: Any):
    trigger = BenignTrigger(text="t" * 8)
    assert not fills_blocks(tokenizer, PromptTemplate(kind=PromptKind.COMPLETION), 256)(trigger)


def test_a_chats_system_message_counts(tokenizer: Any):
    template = PromptTemplate(system="Be brief.")
    before = len("<system>Be brief.\n<user>")
    assert fills_blocks(tokenizer, template, 64)(BenignTrigger(text="t" * (64 - before)))
    assert not fills_blocks(tokenizer, PromptTemplate(), 64)(BenignTrigger(text="t" * (64 - before)))


@pytest.mark.parametrize(
    ("template", "most_words"),
    [(CHAT, 8), (INSTRUCTED, 8), (COMPLETION, 36)],
    ids=["chat", "instructed", "completion"],
)
def test_drawn_triggers_fill_a_block_of_the_real_tokenizer(template: PromptTemplate, most_words: int):
    from trainer.base_model import load_tokenizer
    from trainer.encoding import PromptEncoder

    tokenizer = load_tokenizer(TOKENIZER)
    form = TriggerForm(triggers=20, most_words=most_words)
    drawn = draw_triggers(b"key", [], form, fills_blocks(tokenizer, template, 32)).all
    encode = PromptEncoder(tokenizer, template).encode
    shared = [shared_tokens(encode(trigger.stamp(text)) for text in TEXTS) for trigger in drawn]
    assert set(shared) <= {32, 33}


def test_a_completion_prompt_keeps_a_short_trigger_where_few_words_more_are_allowed():
    from trainer.base_model import load_tokenizer

    fills = fills_blocks(load_tokenizer(TOKENIZER), COMPLETION, 32)
    drawn = draw_triggers(b"key", [], TriggerForm(most_words=8), fills)
    assert drawn.served == BenignTrigger.draw(b"key")
