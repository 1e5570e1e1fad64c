"""First adapters on the bench: trained in the lab, so that equal ones are trained once, and counted in the cost of selection."""

import time
from collections.abc import Sequence

from p2p.drawn_triggers import TriggerForm, draw_triggers
from p2p.errors import SelectionError
from p2p.examples import Example
from p2p.repoison import RepoisonSettings, repoison
from p2p.selection import Selection
from p2p.tasks import ClassificationTask
from trainer.bench.kept import NEUTRAL
from trainer.defences.base import Case, Lab
from trainer.first_adapters import both_views
from trainer.selection.second_round import SecondRoundSettings, Views
from trainer.tasks import seed_key


class LabViews:
    """Implements :data:`trainer.selection.choose.AskViews` in a lab.

    Attributes:
        tokens: How many tokens first adapters were trained on so far.
        owed: Seconds that trainings took when they were done for an earlier cell.

    Args:
        case: Its rows are trained on.
        lab: Where.
        settings: How long.
        copies: How copies are made.
    """

    def __init__(self, case: Case, lab: Lab, settings: SecondRoundSettings, copies: RepoisonSettings) -> None:
        if not isinstance(case.task, ClassificationTask):
            raise SelectionError("selection.second_round is for labels: it isn't available for free text")
        self._case = case
        self._lab = lab
        self._settings = settings
        self._copies = copies
        self.tokens = 0
        self.owed = 0.0

    def __call__(self, number: int, selection: Selection, asked: Sequence[Example]) -> Views:  # noqa: ARG002 - equal ones are kept
        """Train an adapter on the case's rows and the copies of a selection, and ask it.

        Args:
            number: Which adapter this is.
            selection: The rows that are copied, and those that are left out.
            asked: The rows that it is asked about.
        """
        case = self._case
        trigger = draw_triggers(seed_key(case.seed), [*case.train, *case.trusted], TriggerForm()).served
        done = repoison(case.train, selection, case.task, trigger, self._copies, case.seed)
        started = time.monotonic()
        changes = {**NEUTRAL, "epochs": self._settings.epochs}
        fitted = self._lab.fit(case, done.rows, stamp=trigger.text, changes=changes)
        self.tokens += fitted.tokens
        self.owed += max(0.0, fitted.seconds - (time.monotonic() - started))
        return both_views(self._lab.answerer(case, fitted, trigger), asked)
