"""Training on the trusted rows alone: what a defender gets who throws the data set away.

Needs trusted rows; one request costs one query.
"""

from functools import partial
from typing import ClassVar

from pydantic import Field

from trainer.answering import UNGUARDED
from trainer.defences.base import Case, Defence, Defended, Lab, fit_trusted


class TrustedOnly(Defence):
    """An adapter that has seen nothing but the trusted rows.

    Attributes:
        epochs: Passes over them; None takes the lab's, which are few steps of so few rows.
    """

    name: ClassVar[str] = "trusted-only"
    needs_trusted: ClassVar[bool] = True

    epochs: int | None = Field(default=None, ge=1)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        fitted = fit_trusted(case, lab, self.epochs)
        answer = partial(lab.answerer(case, fitted).answer, view=UNGUARDED)
        return Defended(answer, fitted, {"rows": len(case.trusted)})
