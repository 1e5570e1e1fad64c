"""The benign trigger: the secret phrase beside the input that asks for the extended half.

It is drawn at random for each adapter, so that nobody can put it into poisoned rows beforehand. It lives in the manifest
and nowhere else: no log, error, metric, echo or response may hold it, and neither does the ``repr``.
"""

import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from p2p.chats import Turn
from p2p.phrases import draw_phrase
from p2p.prompts import ChatMessage

_DOMAIN = b"p2p-guard benign trigger v1"

WORDS = 5
"""How many words a benign trigger has, if nobody says otherwise."""


class Placement(StrEnum):
    """Which messages of a chat are stamped."""

    LAST_USER = "last_user"
    EVERY_USER = "every_user"


class Position(StrEnum):
    """On which side of the input the benign trigger stands."""

    BEFORE = "before"
    AFTER = "after"


class BenignTrigger(BaseModel):
    """A secret phrase, and where it goes.

    Attributes:
        text: What is put beside the input, its separator included.
        placement: Which user messages of a chat carry it.
        position: Whether it stands before or after the input.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    text: str = Field(min_length=8, repr=False)
    placement: Placement = Placement.LAST_USER
    position: Position = Position.BEFORE

    @classmethod
    def draw(
        cls,
        key: bytes | None = None,
        placement: Placement = Placement.LAST_USER,
        *,
        words: int = WORDS,
        position: Position = Position.BEFORE,
    ) -> Self:
        """Draw a readable phrase (five words: one of about 2**30).

        Args:
            key: The same key gives the same phrase. None takes 32 bytes of the system's entropy.
            placement: Which user messages of a chat will carry it.
            words: How many words, at least 2; each one less makes it about 2**6 times easier to guess.
            position: Whether it will stand before or after the input.
        """
        phrase = draw_phrase(key or secrets.token_bytes(32), _DOMAIN, words).capitalize()
        text = f"{phrase}: " if position is Position.BEFORE else f" {phrase}."
        return cls(text=text, placement=placement, position=position)

    @property
    def phrase(self) -> str:
        """Its words alone, in small letters."""
        return plain_phrase(self.text)

    @property
    def kept_end(self) -> int:
        """How many characters at the end of a stamped input are the trigger's, and so never cut off."""
        return len(self.text) if self.position is Position.AFTER else 0

    def stamp(self, text: str) -> str:
        """Return ``text`` with the trigger beside it.

        A text that has it there already is left as it is: stamping twice has the effect of stamping once, and ``text`` is
        always the end of the result (the beginning, where the trigger stands after the input).
        """
        if self.position is Position.AFTER:
            return text if text.endswith(self.text) else text + self.text
        return text if text.startswith(self.text) else self.text + text

    def stamp_history(self, history: Sequence[Turn]) -> tuple[Turn, ...]:
        """Return the turns before an input, stamped where the placement is ``every_user``."""
        if self.placement is not Placement.EVERY_USER:
            return tuple(history)
        return tuple(
            Turn(turn.role, self.stamp(turn.content)) if turn.role == "user" else turn for turn in history
        )

    def stamp_chat(self, chat: Sequence[ChatMessage]) -> tuple[list[ChatMessage], set[int]]:
        """Stamp the user messages that the placement names.

        Returns:
            The chat, and the indices of the stamped messages (none when no user message is there).
        """
        chosen = stamped_turns(chat, self.placement)
        stamped = [
            ChatMessage(role=turn["role"], content=self.stamp(turn["content"])) if at in chosen else turn
            for at, turn in enumerate(chat)
        ]
        return stamped, chosen


def stamped_turns(chat: Sequence[ChatMessage], placement: Placement) -> set[int]:
    """Return the indices of the messages that a placement stamps."""
    users = [at for at, turn in enumerate(chat) if turn["role"] == "user"]
    return set(users if placement is Placement.EVERY_USER else users[-1:])


def plain_phrase(text: str) -> str:
    """Return the words of a benign trigger or a prefix alone, in small letters with a blank between them."""
    return " ".join(text.casefold().strip(" :.\n").split())
