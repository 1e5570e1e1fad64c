"""Repair: the backdoored adapter is taken as it is, and P2P's two halves are trained into it with the trusted rows alone.

What a defender can do who was given an adapter and has a small clean file, but not the data that it was trained on: so nothing
of the case's training rows is looked at, neither to select nor to break links. The method is Zhao et al.'s (arXiv 2510.04503) as in
:mod:`trainer.defences.poison_to_poison`, begun from a share of the undefended adapter (:mod:`trainer.mixing`). Needs trusted rows; one request costs one query and the
benign trigger's tokens.
"""

from functools import partial
from typing import ClassVar

from pydantic import Field

from p2p.repoison import RepoisonSettings, repoison
from p2p.selection import select_trusted
from trainer.answering import GUARDED
from trainer.defences.base import Case, Defence, Defended, Lab, TriggerSource, fit_undefended, seeded_trigger
from trainer.defences.clean_tuning import with_both_costs
from trainer.defences.copies import repoison_counts
from trainer.mixing import KEPT_SHARE, keep_share


class Repair(Defence):
    """The undefended adapter, trained on with the trusted rows and their benign copies, and guarded.

    Attributes:
        repoison: How copies are made; link breaking has nothing to break.
        trigger: Gives the benign trigger of a case.
        epochs: Passes of the repair over its rows; None takes the lab's.
        learning_rate: The repair's peak; None takes the lab's.
        share: What is kept of the undefended adapter, in (0, 1].
    """

    name: ClassVar[str] = "repair"
    needs_trusted: ClassVar[bool] = True

    repoison: RepoisonSettings = RepoisonSettings()
    trigger: TriggerSource = Field(default=seeded_trigger, exclude=True)
    epochs: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    share: float = Field(default=KEPT_SHARE, gt=0, le=1)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        trigger, start = self.trigger(case), fit_undefended(case, lab)
        # Clean rows have no suspects; left out, spans that are pure by chance would be taken for some.
        selection = select_trusted(case.trusted)._replace(suspects=())
        done = repoison(case.trusted, selection, case.task, trigger, self.repoison, case.seed)
        own = {"epochs": self.epochs, "learning_rate": self.learning_rate}
        changes = {name: value for name, value in own.items() if value is not None}
        mixed = start._replace(weights=keep_share(start.weights, self.share))
        fitted = lab.fit(case, done.rows, start=mixed, stamp=trigger.text, changes=changes)
        answer = partial(lab.answerer(case, fitted, trigger).answer, view=GUARDED)
        return Defended(
            answer, with_both_costs(start, fitted), repoison_counts(done.report), stamp=trigger.text
        )
