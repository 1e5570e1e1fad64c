import pytest
from pydantic import ValidationError

from p2p.chats import Turn, as_chat
from p2p.prompts import ChatMessage
from p2p.triggers import BenignTrigger, Placement, stamped_turns

CHAT = [
    ChatMessage(role="system", content="Be brief."),
    ChatMessage(role="user", content="first"),
    ChatMessage(role="assistant", content="reply"),
    ChatMessage(role="user", content="second"),
]


def test_the_same_key_gives_the_same_phrase_and_another_key_another():
    assert BenignTrigger.draw(b"one").text == BenignTrigger.draw(b"one").text
    assert BenignTrigger.draw(b"one").text != BenignTrigger.draw(b"two").text


def test_without_a_key_the_phrase_comes_from_entropy():
    assert len({BenignTrigger.draw().text for _ in range(50)}) == 50


def test_a_phrase_is_five_words_and_a_separator():
    text = BenignTrigger.draw(b"key").text
    assert text.endswith(": ")
    assert len(text.split()) == 5


def test_no_representation_holds_the_phrase():
    trigger = BenignTrigger.draw(b"key")
    assert trigger.text.strip() not in f"{trigger!r} {trigger}"


def test_a_refused_trigger_is_not_quoted():
    with pytest.raises(ValidationError) as caught:
        BenignTrigger(text="short")
    assert "short" not in str(caught.value).replace("too_short", "")


@pytest.mark.parametrize(
    ("placement", "indices"), [(Placement.LAST_USER, {3}), (Placement.EVERY_USER, {1, 3})]
)
def test_the_placement_decides_which_messages_are_stamped(placement: Placement, indices: set[int]):
    trigger = BenignTrigger.draw(b"key", placement)
    stamped, chosen = trigger.stamp_chat(CHAT)
    assert chosen == indices
    for at, (before, after) in enumerate(zip(CHAT, stamped, strict=True)):
        assert after["content"] == (trigger.text if at in indices else "") + before["content"]


def test_a_chat_without_a_user_message_has_nothing_to_stamp():
    assert stamped_turns(CHAT[:1], Placement.EVERY_USER) == set()


@pytest.mark.parametrize("placement", Placement)
def test_turns_before_an_input_are_stamped_as_in_the_whole_chat(placement: Placement):
    trigger = BenignTrigger.draw(b"key", placement)
    history = tuple(Turn(turn["role"], turn["content"]) for turn in CHAT[:-1])
    stamped = as_chat(trigger.stamp_history(history), trigger.stamp(CHAT[-1]["content"]))
    assert stamped == trigger.stamp_chat(CHAT)[0]
