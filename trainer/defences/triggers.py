"""The benign triggers of a measured case: drawn from its seed, and what is done where training rows hold them."""

from typing import Literal, NamedTuple

from p2p.drawn_triggers import DrawnTriggers, TriggerForm, draw_triggers, held_phrases
from trainer.defences.base import Case, TriggerSource
from trainer.tasks import seed_key

SeenTrigger = Literal["redraw", "drop", "keep"]
"""``redraw`` draws another, as training outside the bench does; ``drop`` leaves the rows out; ``keep`` goes on regardless."""


class CaseTriggers(NamedTuple):
    """The benign triggers of a case.

    Attributes:
        triggers: What copies and served inputs are stamped with.
        case: The case, without the rows that were dropped.
        dropped: How many training rows were.
    """

    triggers: DrawnTriggers
    case: Case
    dropped: int


def case_triggers(
    case: Case, form: TriggerForm, seen: SeenTrigger, source: TriggerSource | None
) -> CaseTriggers:
    """Draw the benign triggers of a case.

    Args:
        case: Its seed is the key, its rows are what a trigger may not stand in.
        form: What is drawn.
        seen: What is done where training rows hold it.
        source: Gives the trigger instead; it is never drawn again.

    Raises:
        DataError: The rows hold whatever is drawn.
    """
    if source:
        triggers = DrawnTriggers(source(case))
    else:
        known = [*case.train, *case.trusted] if seen == "redraw" else []
        triggers = draw_triggers(seed_key(case.seed), known, form)
    if seen != "drop":
        return CaseTriggers(triggers, case, 0)
    phrases = {trigger.phrase for trigger in triggers.all}
    kept = tuple(row for row in case.train if not held_phrases(row, phrases))
    return CaseTriggers(triggers, case._replace(train=kept), len(case.train) - len(kept))
