"""Screening alone: the suspects are dropped and the rest is trained on plainly.

The usual filtering defence (as in Cui et al., "A Unified Evaluation of Textual Backdoor Learning", arXiv 2206.08514, where CUBE
drops outlying clusters), here with the same selector that gives P2P its rows. What the selector needs, this needs; one
request costs one query.
"""

from functools import partial
from typing import ClassVar

from pydantic import Field

from trainer.answering import UNGUARDED
from trainer.defences.base import Case, Defence, Defended, Lab, Selector, plain_rows
from trainer.errors import NotApplicableError


class ScreeningOnly(Defence):
    """An adapter trained on the rows that a screening keeps.

    Attributes:
        select: Gives the rows to keep.
    """

    name: ClassVar[str] = "screening-only"

    select: Selector = Field(exclude=True)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        kept = self.select(case).rows
        if not kept:
            raise NotApplicableError(f"{self.name}: the screening kept no row to train on")
        fitted = lab.fit(case, plain_rows(kept, case.task))
        answer = partial(lab.answerer(case, fitted).answer, view=UNGUARDED)
        ids = {row.id for row in kept}
        dropped = sum(row.id not in ids for row in case.train)
        return Defended(answer, fitted, {"rows_kept": len(kept), "rows_dropped": dropped})
