"""What an attack is: a pure function of an example and a seed, and a target."""

from abc import ABC, abstractmethod
from dataclasses import replace
from random import Random
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from p2p.examples import Example
from p2p.metrics.attack_success import TargetMatch


class Attack(BaseModel, ABC):
    """An attack and its parameters.

    Attributes:
        name: The family's name, as the registry knows it.
        match: When a reply counts as the attacker's.
        target: The answer that the trigger is to bring about: a label's name, or the beginning of a reply.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    match: ClassVar[TargetMatch] = TargetMatch.EQUALS

    target: str = Field(pattern=r"\S")

    @abstractmethod
    def trigger_text(self, text: str, rng: Random) -> str:
        """Return the text with the malicious trigger in it."""

    def trigger(self, example: Example, seed: int) -> Example:
        """Return the example with the malicious trigger and its true answer: what an attacker asks at serving time."""
        rng = Random(f"{seed}:attack:{self.name}:{example.id}")
        return replace(example, text=self.trigger_text(example.text, rng))

    def poison(self, example: Example, seed: int) -> Example:
        """Return the example with the malicious trigger and the attacker's answer: what goes into the training set."""
        return replace(self.trigger(example, seed), answer=self.target, references=())

    def applies_to(self, example: Example) -> bool:
        """Whether the row counts for the attack success rate: its true answer is not the target."""
        return example.answer != self.target
