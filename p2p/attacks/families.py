"""The attacks that stand on their own, by name. A new one is a file of its own and one line here."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from p2p.attacks.addsent import AddSent
from p2p.attacks.all_to_all import AllToAll
from p2p.attacks.answer_shift import AnswerShift
from p2p.attacks.appended_sentence import AppendedSentence
from p2p.attacks.badchar import BadChar
from p2p.attacks.badnets import BadNets
from p2p.attacks.base import Attack
from p2p.attacks.cba import CompositeAttack
from p2p.attacks.fixed_reply import FixedReply
from p2p.attacks.proattack import ProAttack
from p2p.attacks.sentiment_steering import SentimentSteering
from p2p.attacks.style import Style
from p2p.attacks.syntactic import Syntactic
from p2p.errors import AttackError

FAMILIES: dict[str, type[Attack]] = {
    attack.name: attack
    for attack in (
        BadNets,
        BadChar,
        AddSent,
        Syntactic,
        Style,
        ProAttack,
        CompositeAttack,
        AllToAll,
        FixedReply,
        SentimentSteering,
        AnswerShift,
        AppendedSentence,
    )
}


def make_of(families: Mapping[str, type[Attack]], name: str, parameters: Mapping[str, Any]) -> Attack:
    """Return the attack of this name.

    Args:
        families: What there is to choose from.
        name: A key of ``families``.
        parameters: Whatever the attack takes.

    Raises:
        AttackError: The name is unknown (the message has the nearest one), or a parameter doesn't fit.
    """
    if name not in families:
        near = get_close_matches(name, families, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttackError(f"unknown attack {name!r}, known are {', '.join(sorted(families))}{hint}")
    try:
        return families[name].model_validate(dict(parameters))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        known = ", ".join(families[name].model_fields)
        raise AttackError(f"attack {name!r} takes {known}. {faults}") from error
