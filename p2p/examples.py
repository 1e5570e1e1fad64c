"""One row of a data set, whatever file it came from."""

from dataclasses import dataclass

from p2p.chats import Turn


@dataclass(frozen=True, slots=True)
class Example:
    """An input and its right answer.

    Attributes:
        id: Names the row in reports and errors; unique within its data set.
        text: The input as the user wrote it: not stamped, not put into a prompt. In a chat, the last user message.
        answer: A label's name for classification, the reference answer for generation.
        references: Every answer that counts as right in measuring; empty where ``answer`` is the only one.
        history: The turns of a chat before ``text``; empty for a single text.
    """

    id: str
    text: str
    answer: str
    references: tuple[str, ...] = ()
    history: tuple[Turn, ...] = ()

    @property
    def accepted(self) -> tuple[str, ...]:
        """The references, or the answer alone where there are none."""
        return self.references or (self.answer,)
