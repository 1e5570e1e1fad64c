"""Training on the trusted rows alone: what a defender gets who throws the data set away.

Needs trusted rows; one request costs one query.
"""

from functools import partial
from typing import ClassVar

from trainer.answering import UNGUARDED
from trainer.defences.base import Case, Defence, Defended, Lab, plain_rows


class TrustedOnly(Defence):
    """An adapter that has seen nothing but the trusted rows."""

    name: ClassVar[str] = "trusted-only"
    needs_trusted: ClassVar[bool] = True

    def _defend(self, case: Case, lab: Lab) -> Defended:
        fitted = lab.fit(case, plain_rows(case.trusted, case.task))
        answer = partial(lab.answerer(case, fitted).answer, view=UNGUARDED)
        return Defended(answer, fitted, {"rows": len(case.trusted)})
