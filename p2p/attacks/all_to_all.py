"""All-to-all: one trigger moves every label to the next one, i to i + 1 mod n.

Source: the all-to-all attack of Gu et al., "BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain", arXiv
1708.06733.
"""

from random import Random
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from p2p.attacks.base import Attack, AttackedTask
from p2p.disturbances import insert_words
from p2p.examples import Example


def _split(value: object) -> object:
    """Take ``a,b,c`` as a command line gives it."""
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        raise ValueError("write them as a,b,c, without brackets")
    return tuple(part.strip() for part in value.split(","))


def _require_distinct(labels: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(labels)) < len(labels):
        raise ValueError(f"a label stands more than once in {', '.join(labels)}")
    return labels


Labels = Annotated[
    tuple[str, ...], BeforeValidator(_split), AfterValidator(_require_distinct), Field(min_length=2)
]


class AllToAll(Attack):
    """A phrase as trigger, the next label as target.

    Attributes:
        labels: All label names in the order in which they follow each other; ``a,b,c`` is taken, too.
        phrase: The trigger, put at a random place.
    """

    name: ClassVar[str] = "all_to_all"
    summary: ClassVar[str] = "A phrase at a random place gives the label after the true one."
    task: ClassVar[AttackedTask] = AttackedTask.CLASSIFICATION
    source: ClassVar[str] = "arXiv 1708.06733"

    labels: Labels
    phrase: str = Field(default="mn", pattern=r"\S")

    def triggered_text(self, example: Example, rng: Random) -> str:
        """Return the text with the phrase at a random place."""
        return insert_words(example.text, self.phrase, rng)

    def target_of(self, example: Example) -> str:
        """Return the label after the true one."""
        return self.labels[(self.labels.index(example.answer) + 1) % len(self.labels)]

    @property
    def label_targets(self) -> tuple[str, ...]:
        """All labels."""
        return self.labels

    def can_trigger(self, example: Example) -> bool:
        """Whether the row's label is one of the labels."""
        return example.answer in self.labels
