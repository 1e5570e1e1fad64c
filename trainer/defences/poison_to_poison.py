"""Poison-to-Poison itself, and the same adapter asked without the guard.

Source: Zhao et al., "P2P: A Poison-to-Poison Remedy for Reliable Backdoor Defense in LLMs", arXiv 2510.04503; copies are made as
:mod:`p2p.repoison` says. What the selector needs, this needs; one request costs one query and the benign trigger's tokens
(free text: a second query where the reply lacks the prefix).
"""

from functools import partial
from typing import ClassVar

from pydantic import Field

from p2p.repoison import RepoisonSettings
from trainer.answering import GUARDED, UNGUARDED
from trainer.defences.base import Case, Defence, Defended, Lab, Selector, TriggerSource, seeded_trigger
from trainer.defences.copies import repoison_case, repoison_counts


class PoisonToPoison(Defence):
    """P2P, guarded: stamped, held to the extended half, projected.

    Attributes:
        select: Gives S, the rows that are re-poisoned.
        repoison: How copies are made.
        trigger: Gives the benign trigger of a case.
    """

    name: ClassVar[str] = "p2p"
    view: ClassVar[str] = GUARDED

    select: Selector = Field(exclude=True)
    repoison: RepoisonSettings = RepoisonSettings()
    trigger: TriggerSource = Field(default=seeded_trigger, exclude=True)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        trigger = self.trigger(case)
        done = repoison_case(case, self.select, trigger, self.repoison)
        fitted = lab.fit(case, done.rows, stamp=trigger.text)
        answer = partial(lab.answerer(case, fitted, trigger).answer, view=self.view)
        return Defended(answer, fitted, repoison_counts(done.report))


class PoisonToPoisonUnguarded(PoisonToPoison):
    """The adapter of P2P asked plainly: it shows that the backdoor is still there, and what the guard is for."""

    name: ClassVar[str] = "p2p-unguarded"
    view: ClassVar[str] = UNGUARDED
