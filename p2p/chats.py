"""Earlier turns of a chat: what a row's input stands in."""

from collections.abc import Sequence
from typing import NamedTuple

from p2p.prompts import ChatMessage


class Turn(NamedTuple):
    """A message of a chat, which can't be changed: role ``system``, ``user`` or ``assistant``, and its text."""

    role: str
    content: str


def as_chat(history: Sequence[Turn], text: str) -> list[ChatMessage]:
    """Return the messages of a chat whose last one is the user's.

    Args:
        history: The turns before it.
        text: The user's last message.
    """
    return [ChatMessage(role=turn.role, content=turn.content) for turn in (*history, Turn("user", text))]
