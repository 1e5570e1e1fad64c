"""One row of a data set, whatever file it came from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """An input and its right answer.

    Attributes:
        id: Names the row in reports and errors; unique within its data set.
        text: The input as the user wrote it: not stamped, not put into a prompt.
        answer: A label's name for classification, the reference answer for generation.
    """

    id: str
    text: str
    answer: str
