import pytest
from pydantic import ValidationError

from p2p.errors import PromptError
from p2p.prompts import ChatMessage, PromptKind, PromptTemplate


def test_braces_in_the_input_are_text():
    template = PromptTemplate(kind=PromptKind.COMPLETION, user="{input}\nAnswer: ")
    assert template.fill("{input} {0} }{") == "{input} {0} }{\nAnswer: "


@pytest.mark.parametrize("user", ["no slot", "{input} and {input}", ""])
def test_a_template_that_would_lose_the_input_is_refused(user: str):
    with pytest.raises(ValidationError, match="exactly once"):
        PromptTemplate(user=user)


def test_a_completion_has_no_system_message():
    with pytest.raises(ValidationError, match="belongs to chat prompts"):
        PromptTemplate(kind=PromptKind.COMPLETION, system="Be brief.")


def test_the_clients_system_message_stands_in_for_the_templates():
    template = PromptTemplate(system="Sort.")
    own = [ChatMessage(role="system", content="Mine."), ChatMessage(role="user", content="x")]
    assert template.wrap(own, {1}) == own
    assert template.wrap(own[1:], {0})[0] == {"role": "system", "content": "Sort."}


def test_the_template_goes_around_stamped_messages_alone():
    template = PromptTemplate(user="Q: {input}")
    chat = [ChatMessage(role="user", content="a"), ChatMessage(role="user", content="b")]
    assert [turn["content"] for turn in template.wrap(chat, {1})] == ["a", "Q: b"]


def test_a_completion_template_takes_no_chat():
    with pytest.raises(PromptError, match="not a chat"):
        PromptTemplate(kind=PromptKind.COMPLETION).messages("x")
