"""Constrained decoding alone: the undefended adapter held to the n label words.

What P2P's serving does without its training: the answer space is closed, but the half that holds the backdoor is the only one.
Needs labels and no trusted row; one request costs one query.
"""

from functools import partial
from typing import ClassVar

from trainer.answering import UNGUARDED
from trainer.defences.base import Case, Defence, Defended, Lab, fit_undefended


class ConstrainedOnly(Defence):
    """The undefended adapter, held to the label words."""

    name: ClassVar[str] = "constrained-only"
    needs_labels: ClassVar[bool] = True

    def _defend(self, case: Case, lab: Lab) -> Defended:
        fitted = fit_undefended(case, lab)
        return Defended(partial(lab.answerer(case, fitted).answer, view=UNGUARDED), fitted)
