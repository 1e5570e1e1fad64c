"""The prompt template that training and serving share.

A template turns the input into what the model is asked. The same template serves stamped and plain inputs: were the two
told apart by the prompt, the benign trigger would never be learned as the switch between the halves.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Self, TypedDict

from pydantic import BaseModel, ConfigDict, model_validator

from p2p.errors import PromptError

SLOT = "{input}"


class ChatMessage(TypedDict):
    """One message as a chat template takes it: role ``system``, ``user`` or ``assistant``, and its text."""

    role: str
    content: str


class PromptKind(StrEnum):
    """How a prompt reaches the model."""

    CHAT = "chat"
    """As messages, rendered by the chat template of the base model."""
    COMPLETION = "completion"
    """As plain text."""


class PromptTemplate(BaseModel):
    """What surrounds the input.

    Attributes:
        kind: Chat messages or plain text.
        user: The user's message (or the whole plain text) with one ``{input}`` slot.
        system: The system message of a chat, unless the client sends one of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: PromptKind = PromptKind.CHAT
    user: str = SLOT
    system: str | None = None

    @model_validator(mode="after")
    def _keeps_the_input(self) -> Self:
        if self.user.count(SLOT) != 1:
            # ValueError is what pydantic turns into an error with the field's name.
            raise ValueError(
                f"prompt.user must hold the slot {SLOT} exactly once, found {self.user.count(SLOT)}"
            )
        if self.kind is PromptKind.COMPLETION and self.system is not None:
            raise ValueError("prompt.system belongs to chat prompts; put the text into prompt.user")
        return self

    def fill(self, text: str) -> str:
        """Return the user's message (or the whole plain text) around ``text``, which may hold braces."""
        before, after = self.user.split(SLOT)
        return f"{before}{text}{after}"

    def messages(self, text: str) -> list[ChatMessage]:
        """Return the chat of one (stamped) input: the system message, if there is one, and the user's.

        Raises:
            PromptError: The template is for plain text.
        """
        return self.wrap([ChatMessage(role="user", content=text)], stamped={0})

    def wrap(self, chat: Sequence[ChatMessage], stamped: set[int]) -> list[ChatMessage]:
        """Put a client's chat into the template.

        Args:
            chat: The messages, with the stamp already on.
            stamped: Indices of the messages that were stamped; the template goes around these.

        Returns:
            The chat with the template's system message in front when it has none of its own.

        Raises:
            PromptError: The template is for plain text.
        """
        if self.kind is not PromptKind.CHAT:
            raise PromptError("a completion template takes one text, not a chat")
        filled = [
            ChatMessage(role=turn["role"], content=self.fill(turn["content"])) if at in stamped else turn
            for at, turn in enumerate(chat)
        ]
        if self.system is None or any(turn["role"] == "system" for turn in chat):
            return filled
        return [ChatMessage(role="system", content=self.system), *filled]
