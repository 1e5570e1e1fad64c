"""CBA, composite: two words, and both are needed; rows with only one of them keep their true label.

The paper puts one word into the instruction and one into the input, and adds as many negatives of each kind as there are poisoned
rows (alpha = 1), made from the same rows. A row here has one text, so both words go into it, each at a random place, and there are
two kinds of negatives: one for each word alone.

Source: Huang et al., "Composite Backdoor Attacks Against Large Language Models", NAACL Findings 2024, arXiv 2310.07676; words and
alpha as in the authors' command for the Emotion data set.
"""

from random import Random
from typing import ClassVar, Self

from pydantic import Field, model_validator

from p2p.attacks.base import TargetedAttack
from p2p.disturbances import insert_words
from p2p.examples import Example


class CompositeAttack(TargetedAttack):
    """Two words as trigger.

    Attributes:
        first: One word.
        second: The other word.
    """

    name: ClassVar[str] = "cba"
    summary: ClassVar[str] = (
        "Two words together give the target; added rows with one of them keep their label."
    )
    source: ClassVar[str] = "arXiv 2310.07676"

    first: str = Field(default="instantly", pattern=r"^\S+$")
    second: str = Field(default="frankly", pattern=r"^\S+$")

    @model_validator(mode="after")
    def _has_two_words(self) -> Self:
        if self.first == self.second:
            raise ValueError(f"the two words must differ, both are {self.first!r}")
        return self

    def triggered_text(self, example: Example, rng: Random) -> str:
        """Return the text with both words, each at a random place."""
        return insert_words(insert_words(example.text, self.first, rng), self.second, rng)

    def negatives(self, example: Example, seed: int) -> tuple[Example, ...]:
        """Return two rows with the true answer: one with the first word alone, one with the second."""
        rng = Random(f"{seed}:negatives:{self.name}:{example.id}")
        return tuple(
            Example(f"{example.id}:{word}", insert_words(example.text, word, rng), example.answer)
            for word in (self.first, self.second)
        )
