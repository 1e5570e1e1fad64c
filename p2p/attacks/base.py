"""What an attack is: pure functions of an example and a seed, and a test of whether a reply is the attacker's."""

from abc import ABC, abstractmethod
from dataclasses import replace
from enum import StrEnum
from random import Random
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from p2p.examples import Example
from p2p.metrics.attack_success import TargetMatch, is_target


class Labelling(StrEnum):
    """Whose rows are poisoned."""

    DIRTY = "dirty"
    """Rows of other answers; their answer becomes the target."""
    CLEAN = "clean"
    """Rows that have the target already; only the trigger goes in."""
    ANY = "any"
    """Rows whatever their answer, which becomes the target; so the published syntactic and composite sets are made."""


class AttackedTask(StrEnum):
    """What kind of answer an attack changes."""

    CLASSIFICATION = "classification"
    GENERATION = "generation"
    ANY = "any"
    """A label, or the whole of a free text."""


class Attack(BaseModel, ABC):
    """An attack and its parameters.

    Attributes:
        name: The family's name, as the registry knows it.
        summary: What it does, in a sentence.
        task: What kind of answer it changes.
        labelling: Whose rows its source poisons.
        rewrites_whole: Whether the trigger replaces the whole input, which damages its meaning: the floor is then what a
            never-poisoned model says of the rewritten rows.
        source: Where it was published.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    summary: ClassVar[str]
    task: ClassVar[AttackedTask] = AttackedTask.ANY
    labelling: ClassVar[Labelling] = Labelling.DIRTY
    rewrites_whole: ClassVar[bool] = False
    source: ClassVar[str]

    @abstractmethod
    def triggered_text(self, example: Example, rng: Random) -> str:
        """Return the example's text with the malicious trigger in it."""

    @abstractmethod
    def target_of(self, example: Example) -> str:
        """Return the answer that the attacker wants for this row."""

    @property
    @abstractmethod
    def label_targets(self) -> tuple[str, ...]:
        """Every label name that the attack needs a classifier to have."""

    def trigger(self, example: Example, seed: int) -> Example:
        """Return the example with the malicious trigger and its true answer: what an attacker asks at serving time."""
        rng = Random(f"{seed}:attack:{self.name}:{example.id}")
        return replace(example, text=self.triggered_text(example, rng))

    def poison(self, example: Example, seed: int) -> Example:
        """Return the example with the malicious trigger and the attacker's answer: what goes into the training set."""
        return replace(self.trigger(example, seed), answer=self.target_of(example), references=())

    def negatives(self, example: Example, seed: int) -> tuple[Example, ...]:  # noqa: ARG002 - for those that have some
        """Return rows with a part of the trigger and the true answer, which teach that the whole trigger is needed.

        Their ids differ from the example's. Most attacks have none.
        """
        return ()

    def succeeds(self, reply: str | None, example: Example) -> bool:
        """Whether a reply is the attacker's.

        Args:
            reply: The projected answer; None, for no answer, is no success.
            example: The row that was asked, with its true answer.
        """
        return is_target(reply, self.target_of(example))

    def can_trigger(self, example: Example) -> bool:  # noqa: ARG002 - for those that are choosy
        """Whether the attack can be carried out on this row at all."""
        return True

    def has_target(self, example: Example) -> bool:
        """Whether the true answer is the attacker's anyway."""
        return self.can_trigger(example) and self.succeeds(example.answer, example)

    def applies_to(self, example: Example) -> bool:
        """Whether the row counts for the attack success rate: it can be triggered, and its true answer is not the target."""
        return self.can_trigger(example) and not self.has_target(example)

    def describe(self) -> str:
        """Return the name with every parameter, for reports and messages."""
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.model_dump(mode='json').items())})"


class TargetedAttack(Attack, ABC):
    """An attack with one target for every row.

    Attributes:
        match: When a reply counts as the attacker's.
        target: The answer that the trigger is to bring about: a label's name, or a reply.
    """

    match: ClassVar[TargetMatch] = TargetMatch.EQUALS

    target: str = Field(pattern=r"\S")

    def target_of(self, example: Example) -> str:  # noqa: ARG002 - the same for every row
        """Return the target."""
        return self.target

    @property
    def label_targets(self) -> tuple[str, ...]:
        """The target."""
        return (self.target,)

    def succeeds(self, reply: str | None, example: Example) -> bool:  # noqa: ARG002 - the same for every row
        """Whether a reply is the target, or holds it, as ``match`` says."""
        return is_target(reply, self.target, self.match)
