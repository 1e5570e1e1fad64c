"""Clean fine-tuning: the undefended adapter is trained on, on the trusted rows alone.

The plainest repair: catastrophic forgetting is to take the backdoor along (the baseline "fine-tuning" of Liu et al.,
"Fine-Pruning", arXiv 1805.12185). Needs trusted rows; one request costs one query.
"""

from functools import partial
from typing import ClassVar

from pydantic import Field

from trainer.answering import UNGUARDED
from trainer.defences.base import Case, Defence, Defended, Fitted, Lab, fit_trusted, fit_undefended


class CleanTuning(Defence):
    """The undefended adapter, tuned further on the trusted rows.

    Attributes:
        epochs: Passes of the tuning over the trusted rows; None takes the lab's.
    """

    name: ClassVar[str] = "clean-tuning"
    needs_trusted: ClassVar[bool] = True

    epochs: int | None = Field(default=None, ge=1)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        fitted = tune_further(case, lab, fit_undefended(case, lab), self.epochs)
        answer = partial(lab.answerer(case, fitted).answer, view=UNGUARDED)
        return Defended(answer, fitted, {"rows": len(case.trusted)})


def tune_further(case: Case, lab: Lab, start: Fitted, epochs: int | None = None) -> Fitted:
    """Train an adapter further on the trusted rows.

    Args:
        case: Its trusted rows are trained on.
        lab: Trains.
        start: The adapter.
        epochs: Passes over the trusted rows; None takes the lab's.

    Returns:
        The tuned adapter; tokens, seconds and curve are those of both trainings.
    """
    return with_both_costs(start, fit_trusted(case, lab, epochs, start))


def with_both_costs(start: Fitted, tuned: Fitted) -> Fitted:
    """Return a tuned adapter with tokens, seconds and curve of both trainings.

    Args:
        start: What it began with.
        tuned: The adapter, with what the tuning alone took.
    """
    after = tuple((start.tokens + tokens, loss) for tokens, loss in tuned.curve)
    return Fitted(
        tuned.weights, start.tokens + tuned.tokens, start.seconds + tuned.seconds, (*start.curve, *after)
    )
