"""The defences by name. A new one is a file of its own and one line here."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from trainer.defences.back_translation import BackTranslation
from trainer.defences.base import Defence
from trainer.defences.benign_prompt import BenignPrompt
from trainer.defences.clean_tuning import CleanTuning
from trainer.defences.constrained_only import ConstrainedOnly
from trainer.defences.label_shift import LabelShift
from trainer.defences.none import Undefended
from trainer.defences.onion import Onion
from trainer.defences.poison_to_poison import PoisonToPoison, PoisonToPoisonUnguarded
from trainer.defences.pruning import Pruning
from trainer.defences.quantisation import Quantisation
from trainer.defences.repair import Repair
from trainer.defences.screening_only import ScreeningOnly
from trainer.defences.strip import Strip
from trainer.defences.trusted_only import TrustedOnly
from trainer.errors import DefenceError

DEFENCES: dict[str, type[Defence]] = {
    defence.name: defence
    for defence in (
        Undefended,
        PoisonToPoison,
        PoisonToPoisonUnguarded,
        TrustedOnly,
        CleanTuning,
        Repair,
        Onion,
        Strip,
        BackTranslation,
        LabelShift,
        ConstrainedOnly,
        BenignPrompt,
        ScreeningOnly,
        Pruning,
        Quantisation,
    )
}


def make_defence(name: str, parameters: Mapping[str, Any] | None = None) -> Defence:
    """Return the defence of this name.

    Args:
        name: A key of :data:`DEFENCES`.
        parameters: What it takes, if not its defaults.

    Raises:
        DefenceError: The name is unknown (the message has the nearest one), or a parameter doesn't fit.
    """
    if name not in DEFENCES:
        near = get_close_matches(name, DEFENCES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DefenceError(f"unknown defence {name!r}, known are {', '.join(sorted(DEFENCES))}{hint}")
    try:
        return DEFENCES[name].model_validate(dict(parameters or {}))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        known = ", ".join(DEFENCES[name].model_fields) or "no parameters"
        raise DefenceError(f"defence {name!r} takes {known}. {faults}") from error
