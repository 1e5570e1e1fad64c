"""A triggered text, and when an answer to it is the attacker's."""

from collections.abc import Callable
from typing import NamedTuple


class Question(NamedTuple):
    """A triggered text.

    Attributes:
        text: What is asked.
        succeeds: Whether an answer is the attacker's; None, for no answer, is not.
        counts: Whether it counts for ASR: the true answer is not the target.
    """

    text: str
    succeeds: Callable[[str | None], bool]
    counts: bool
