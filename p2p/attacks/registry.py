"""The attacks by name. A new one is a file of its own and one line here."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from p2p.attacks.addsent import AddSent
from p2p.attacks.badnets import BadNets
from p2p.attacks.base import Attack
from p2p.attacks.fixed_reply import FixedReply
from p2p.errors import AttackError

ATTACKS: dict[str, type[Attack]] = {attack.name: attack for attack in (BadNets, AddSent, FixedReply)}


def make_attack(name: str, parameters: Mapping[str, Any]) -> Attack:
    """Return the attack of this name.

    Args:
        name: A key of :data:`ATTACKS`.
        parameters: Its target and whatever else it takes.

    Raises:
        AttackError: The name is unknown (the message has the nearest one), or a parameter doesn't fit.
    """
    if name not in ATTACKS:
        near = get_close_matches(name, ATTACKS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttackError(f"unknown attack {name!r}, known are {', '.join(sorted(ATTACKS))}{hint}")
    try:
        return ATTACKS[name].model_validate(dict(parameters))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        known = ", ".join(ATTACKS[name].model_fields)
        raise AttackError(f"attack {name!r} takes {known}. {faults}") from error
