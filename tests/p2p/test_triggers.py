import hashlib

import pytest
from pydantic import ValidationError

from p2p.chats import Turn, as_chat
from p2p.prompts import ChatMessage
from p2p.triggers import BenignTrigger, Placement, Position, stamped_turns

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


def test_adapters_and_cells_of_the_past_have_the_triggers_that_they_were_trained_with():
    """What versions before triggers could be of other lengths gave; measured cells and seeded adapters rest on it."""
    assert BenignTrigger.draw(b"parity").text == "New glass helps green desk: "
    seeds = [hashlib.sha256(f"p2p-guard seed {seed}".encode()).digest() for seed in range(3)]
    assert [BenignTrigger.draw(seed).text for seed in seeds] == [
        "Clever dish keeps fresh cloud: ",
        "Golden harbor gathers curious book: ",
        "Rare badge grows golden mirror: ",
    ]


@pytest.mark.parametrize(
    ("words", "text"), [(2, "New glass: "), (7, "New glass helps green desk proud cloud: ")]
)
def test_a_phrase_has_the_words_asked_for(words: int, text: str):
    assert BenignTrigger.draw(b"parity", words=words).text == text


def test_a_trigger_may_stand_after_the_input():
    trigger = BenignTrigger.draw(b"parity", position=Position.AFTER)
    assert trigger.stamp("late .") == "late . New glass helps green desk."
    assert trigger.stamp(trigger.stamp("late .")) == trigger.stamp("late .")
    assert trigger.stamp(f"{trigger.text} late").endswith(trigger.text)


@pytest.mark.parametrize(("position", "kept"), [(Position.BEFORE, 0), (Position.AFTER, 28)])
def test_only_a_trigger_at_the_end_has_to_be_kept_from_being_cut_off(position: Position, kept: int):
    assert BenignTrigger.draw(b"parity", position=position).kept_end == kept


@pytest.mark.parametrize("position", Position)
def test_the_words_of_a_trigger_are_the_same_on_either_side(position: Position):
    assert BenignTrigger.draw(b"parity", position=position).phrase == "new glass helps green desk"
