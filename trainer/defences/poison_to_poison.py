"""Poison-to-Poison itself, and the same adapter asked without the guard.

Source: Zhao et al., "P2P: A Poison-to-Poison Remedy for Reliable Backdoor Defense in LLMs", arXiv 2510.04503; copies are made as
:mod:`p2p.repoison` says. What the selector needs, this needs; one request costs one query and the benign trigger's tokens
(free text: a second query where the reply lacks the prefix).
"""

from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from p2p.drawn_triggers import TriggerForm
from p2p.repoison import RepoisonSettings
from p2p.tasks import ClassificationTask
from p2p.triggers import WORDS, Position
from trainer.answering import FORCED, UNGUARDED
from trainer.defences.base import Case, Defence, Defended, Lab, Selector, TriggerSource
from trainer.defences.copies import repoison_case, repoison_counts
from trainer.defences.triggers import SeenTrigger, case_triggers
from trainer.errors import NotApplicableError


class PoisonToPoison(Defence):
    """P2P, guarded: stamped, held to the extended half, projected.

    Attributes:
        select: Gives S, the rows that are re-poisoned.
        repoison: How copies are made.
        trigger: Gives the benign trigger of a case; None draws it from the seed, as the following say.
        words: How many words the benign trigger has.
        position: On which side of the input it stands.
        triggers: How many are drawn: copies carry them in turn, serving uses the first.
        seen_trigger: What is done where training rows hold it.
        view: How it is served. ``guarded`` holds labels to the extended half, and asks again with the prefix where free text lacks
            it; ``free`` does neither; ``forced`` begins free text with the prefix at once.
    """

    name: ClassVar[str] = "p2p"

    select: Selector = Field(exclude=True)
    repoison: RepoisonSettings = RepoisonSettings()
    trigger: TriggerSource | None = Field(default=None, exclude=True)
    words: int = Field(default=WORDS, ge=2, le=40)
    position: Position = Position.BEFORE
    triggers: int = Field(default=1, ge=1, le=32)
    seen_trigger: SeenTrigger = "redraw"
    view: Literal["guarded", "free", "forced"] = "guarded"

    def _defend(self, case: Case, lab: Lab) -> Defended:
        if self.view == FORCED and isinstance(case.task, ClassificationTask):
            raise NotApplicableError(f"{self.name}: only free text can be forced to begin with a prefix")
        form = TriggerForm(self.words, self.position, triggers=self.triggers)
        triggers, known, dropped = case_triggers(case, form, self.seen_trigger, self.trigger)
        served = triggers.served
        done = repoison_case(known, self.select, served, self.repoison, triggers.others)
        fitted = lab.fit(known, done.rows, stamp=triggers.longest_text)
        answer = partial(lab.answerer(known, fitted, served).answer, view=self._asked_view)
        counts = {"triggers_redrawn": triggers.redraws, "rows_dropped": dropped}
        return Defended(answer, fitted, repoison_counts(done.report) | counts, stamp=self._stamp(served.text))

    @property
    def _asked_view(self) -> str:
        return self.view

    def _stamp(self, text: str) -> str:
        return text


class PoisonToPoisonUnguarded(PoisonToPoison):
    """The adapter of P2P asked plainly: it shows that the backdoor is still there, and what the guard is for."""

    name: ClassVar[str] = "p2p-unguarded"

    @property
    def _asked_view(self) -> str:
        return UNGUARDED

    def _stamp(self, text: str) -> str:  # noqa: ARG002 - served without one
        return ""
