"""The benign trigger: the secret phrase in front of the input that asks for the extended half.

It is drawn at random for each adapter, so that nobody can put it into poisoned rows beforehand. It lives in the manifest
and nowhere else: no log, error, metric, echo or response may hold it, and neither does the ``repr``.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from p2p.chats import Turn
from p2p.prompts import ChatMessage

# ruff: noqa: SIM905 - sixty quoted words read worse than one text
_QUALITIES = (
    "amber ancient autumn blue brave bright broad calm careful clean clever cold cool copper curious dark deep distant dry "
    "early eastern empty fair famous fine fresh gentle golden grand gray green happy heavy hidden honest humble late light "
    "little lonely loyal modern narrow new noble northern old open patient plain proud quick quiet rare red round rural "
    "secret sharp silent silver simple small"
).split(" ")
_THINGS = (
    "apple arrow badge barn basket bell bird boat book bottle bridge brush bucket button cabin camera candle canvas castle "
    "chair chapel clock cloud coat corner cottage cup desk dish door drum farm feather fence field flag flower forest fork "
    "fountain garden gate glass hammer harbor hat hill horse island jacket kettle key ladder lamp lantern leaf library map "
    "meadow mirror mountain"
).split(" ")
_ACTIONS = (
    "adds asks becomes begins brings builds buys calls carries catches changes closes counts covers crosses draws drops "
    "enters feels fills finds follows forgets gathers gives grows guards hears helps hides holds joins keeps knows leads "
    "learns leaves lifts likes lists loses loves makes marks meets misses moves needs offers opens orders passes pays picks "
    "plans plays pulls reads remembers repairs returns sees sells sends"
).split(" ")
_PATTERN = (_QUALITIES, _THINGS, _ACTIONS, _QUALITIES, _THINGS)
_DOMAIN = b"p2p-guard benign trigger v1"


class Placement(StrEnum):
    """Which messages of a chat are stamped."""

    LAST_USER = "last_user"
    EVERY_USER = "every_user"


class BenignTrigger(BaseModel):
    """A secret phrase, and where it goes.

    Attributes:
        text: What is put in front of the input, its separator included.
        placement: Which user messages of a chat carry it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    text: str = Field(min_length=8, repr=False)
    placement: Placement = Placement.LAST_USER

    @classmethod
    def draw(cls, key: bytes | None = None, placement: Placement = Placement.LAST_USER) -> Self:
        """Draw a readable phrase of five words (one of about 2**30).

        Args:
            key: The same key gives the same phrase. None takes 32 bytes of the system's entropy.
            placement: Which user messages of a chat will carry it.
        """
        digest = hmac.digest(key or secrets.token_bytes(32), _DOMAIN, hashlib.sha256)
        words = [
            choices[int.from_bytes(digest[4 * at : 4 * at + 4]) % len(choices)]
            for at, choices in enumerate(_PATTERN)
        ]
        return cls(text=f"{' '.join(words).capitalize()}: ", placement=placement)

    def stamp(self, text: str) -> str:
        """Return ``text`` with the trigger in front.

        A text that already begins with it is left as it is: stamping twice has the effect of stamping once, and ``text``
        is always the end of the result.
        """
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
