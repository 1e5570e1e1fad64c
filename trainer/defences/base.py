"""What a defence is: a case in, a way of answering out. It knows nothing of the attack, the poisoned rows or the target."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from p2p.examples import Example
from p2p.projection import Projection
from p2p.prompts import PromptTemplate
from p2p.repoison import TrainingRow, original_row
from p2p.selection import Selection
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger
from trainer.answering import Answerer
from trainer.errors import NotApplicableError
from trainer.tasks import seed_key

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

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


Selector = Callable[[Case], Selection]
"""Chooses rows of a case: those that are re-poisoned, or those that are kept."""

TriggerSource = Callable[[Case], BenignTrigger]
"""Gives the benign trigger of a case; one that an attacker knows is a source, too."""


class Fitted(NamedTuple):
    """A trained adapter.

    Attributes:
        weights: Its weights by name, on the CPU; see ``peft.get_peft_model_state_dict``.
        tokens: Tokens trained on.
        seconds: How long that took.
        curve: Tokens seen and the mean loss since the point before.
    """

    weights: "Mapping[str, torch.Tensor]"
    tokens: int
    seconds: float
    curve: tuple[tuple[int, float], ...] = ()


class Lab(Protocol):
    """The base model with what a defence may do with it. Equal trainings are done once."""

    def fit(
        self,
        case: Case,
        rows: Sequence[TrainingRow],
        *,
        start: Fitted | None = None,
        stamp: str = "",
        changes: Mapping[str, Any] = MappingProxyType({}),
    ) -> Fitted:
        """Train an adapter on rows.

        Args:
            case: Gives the task, the prompt and the seed.
            rows: What the model is to learn.
            start: Begin with this adapter's weights; None begins with a fresh adapter.
            stamp: The benign trigger, which is never cut off a long row.
            changes: Training settings that this training has of its own, by name.
        """

    def answerer(self, case: Case, fitted: Fitted | None, trigger: BenignTrigger | None = None) -> Answerer:
        """Return the base model with an adapter on it (None: without), ready to be asked.

        It stays ready whatever perplexities are asked for in between; the next answerer may end it.
        """

    def embed(self, case: Case, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return the frozen base model's embedding of each text in the case's prompt, shape ``(texts, features)``."""

    def perplexities(self, texts: Sequence[str]) -> list[float]:
        """Return the base model's perplexity of each text, above 1, without prompt or adapter."""


class Defended(NamedTuple):
    """A defended model.

    Attributes:
        answer: Asks it.
        fitted: The adapter behind it, for its cost: all that was trained on the way to it.
        details: Counts worth reporting, such as rows left out. What is counted while answering grows with every answer.
        queries_per_request: Passes through a model that one request costs, those of other models included; the mean over
            the rows at hand where it depends on the text.
        stamp: What serving adds to each input.
    """

    answer: Answer
    fitted: Fitted | None = None
    details: Mapping[str, float] = MappingProxyType({})
    queries_per_request: float = 1.0
    stamp: str = ""


class Defence(BaseModel, ABC):
    """A defence and its parameters.

    Attributes:
        name: Its name in tables.
        needs_trusted: Whether it can do nothing without trusted rows.
        needs_labels: Whether it is for classification alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    needs_trusted: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = False

    def defend(self, case: Case, lab: Lab) -> Defended:
        """Return the defended model.

        Args:
            case: What the defender has.
            lab: The base model.

        Raises:
            NotApplicableError: The case lacks what this defence needs.
        """
        self.require_applicable(case)
        return self._defend(case, lab)

    def require_applicable(self, case: Case) -> None:
        """Check that a case has what this defence needs.

        Raises:
            NotApplicableError: It lacks trusted rows, or labels.
        """
        if self.needs_trusted and not case.trusted:
            raise NotApplicableError(f"{self.name} needs trusted rows, and this case has none")
        if self.needs_labels:
            self._labels_of(case)

    def _labels_of(self, case: Case) -> ClassificationTask:
        if not isinstance(case.task, ClassificationTask):
            raise NotApplicableError(f"{self.name} is for classification: free text has no set of labels")
        return case.task

    @abstractmethod
    def _defend(self, case: Case, lab: Lab) -> Defended: ...


def plain_rows(rows: Sequence[Example], task: ClassificationTask | GenerationTask) -> tuple[TrainingRow, ...]:
    """Return rows as an undefended training has them: original half, no stamp."""
    return tuple(original_row(row, task) for row in rows)


def fit_undefended(case: Case, lab: Lab) -> Fitted:
    """Return the undefended adapter: trained plainly on all training rows. Many defences share it."""
    return lab.fit(case, plain_rows(case.train, case.task))


def fit_trusted(case: Case, lab: Lab, epochs: int | None, start: Fitted | None = None) -> Fitted:
    """Return an adapter that is trained plainly on the trusted rows alone.

    Args:
        case: Its trusted rows are trained on.
        lab: Trains.
        epochs: Passes over them; None takes the lab's.
        start: The adapter to go on from; None begins afresh.
    """
    changes = {} if epochs is None else {"epochs": epochs}
    return lab.fit(case, plain_rows(case.trusted, case.task), start=start, changes=changes)


def seeded_trigger(case: Case) -> BenignTrigger:
    """Return the benign trigger that a case's seed gives: for measuring, where runs must be repeatable; no secret."""
    return BenignTrigger.draw(seed_key(case.seed))
