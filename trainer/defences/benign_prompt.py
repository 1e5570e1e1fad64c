"""The benign prompt alone: P2P's trigger in front of each input of the undefended adapter, without P2P's training.

Shows whether the words themselves, or their foreignness, disturb the backdoor. Needs nothing; one request costs one query
and the trigger's tokens.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from p2p.projection import Projection
from trainer.answering import UNGUARDED
from trainer.defences.base import (
    Case,
    Defence,
    Defended,
    Lab,
    TriggerSource,
    fit_undefended,
    seeded_trigger,
)


class BenignPrompt(Defence):
    """The undefended adapter, asked with the benign trigger.

    Attributes:
        trigger: Gives the benign trigger of a case.
    """

    name: ClassVar[str] = "benign-prompt"

    trigger: TriggerSource = Field(default=seeded_trigger, exclude=True)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        trigger = self.trigger(case)
        fitted = fit_undefended(case, lab)
        answerer = lab.answerer(case, fitted)

        def answer(texts: Sequence[str]) -> list[Projection]:
            return answerer.answer([trigger.stamp(text) for text in texts], UNGUARDED)

        return Defended(answer, fitted, stamp=trigger.text)
