"""What a defence is: a case in, a way of answering out. It knows nothing of the attack, the poisoned rows or the target."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from p2p.examples import Example
from p2p.projection import Projection
from p2p.prompts import PromptTemplate
from p2p.repoison import TrainingRow
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger
from trainer.answering import Answerer

if TYPE_CHECKING:
    import torch

Answer = Callable[[Sequence[str]], list[Projection]]
"""Inputs as users write them to answers, in the same order."""


class Case(NamedTuple):
    """What a defender has.

    Attributes:
        task: The labels or the prefix p.
        prompt: The prompt template.
        train: The training rows, poison and all.
        trusted: A few rows that are known to be clean; may be empty.
        seed: Decides everything that is drawn.
    """

    task: ClassificationTask | GenerationTask
    prompt: PromptTemplate
    train: Sequence[Example]
    trusted: Sequence[Example]
    seed: int


class Fitted(NamedTuple):
    """A trained adapter.

    Attributes:
        weights: Its weights by name, on the CPU; see ``peft.get_peft_model_state_dict``.
        tokens: Tokens trained on.
        seconds: How long that took.
        curve: Tokens seen and the mean loss since the point before.
    """

    weights: Mapping[str, "torch.Tensor"]
    tokens: int
    seconds: float
    curve: tuple[tuple[int, float], ...] = ()


class Lab(Protocol):
    """The base model with what a defence may do with it. Equal trainings are done once."""

    def fit(
        self, case: Case, rows: Sequence[TrainingRow], *, start: Fitted | None = None, stamp: str = ""
    ) -> Fitted:
        """Train an adapter on rows, from nothing or from another adapter's weights."""

    def answerer(self, case: Case, fitted: Fitted | None, trigger: BenignTrigger | None = None) -> Answerer:
        """Return the base model with an adapter on it (None: without), ready to be asked."""

    def perplexities(self, texts: Sequence[str]) -> list[float]:
        """Return the base model's perplexity of each text, without prompt or adapter."""


class Defended(NamedTuple):
    """A defended model.

    Attributes:
        answer: Asks it.
        fitted: The adapter behind it, for its cost.
        details: Counts worth reporting, such as rows left out.
    """

    answer: Answer
    fitted: Fitted | None = None
    details: Mapping[str, float] = {}


class Defence(BaseModel, ABC):
    """A defence and its parameters.

    Attributes:
        name: Its name in tables.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]

    @abstractmethod
    def defend(self, case: Case, lab: Lab) -> Defended:
        """Return the defended model."""


def plain_rows(rows: Sequence[Example], task: ClassificationTask | GenerationTask) -> tuple[TrainingRow, ...]:
    """Return rows as an undefended training has them: original half, no stamp."""
    return tuple(
        TrainingRow(row.id, row.text, task.target_text(row.answer, extended=False), extended=False)
        for row in rows
    )
