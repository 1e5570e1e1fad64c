"""No defence: train on everything, ask plainly. The row that every other one is read against.

Needs nothing; one request costs one query. The model may say what it likes: ``constrained-only`` is the same adapter held to the
label words, as all other defences are.
"""

from typing import ClassVar

from trainer.defences.base import Case, Defence, Defended, Lab, fit_undefended


class Undefended(Defence):
    """The undefended adapter, free-running."""

    name: ClassVar[str] = "none"

    def _defend(self, case: Case, lab: Lab) -> Defended:
        fitted = fit_undefended(case, lab)
        return Defended(lab.answerer(case, fitted).answer_freely, fitted)
