"""Every attack by name: the families, and those that are composed of them."""

from collections.abc import Mapping
from typing import Any

from p2p.attacks.base import Attack
from p2p.attacks.families import FAMILIES, make_of
from p2p.attacks.multi import Multi

ATTACKS: dict[str, type[Attack]] = {**FAMILIES, Multi.name: Multi}


def make_attack(name: str, parameters: Mapping[str, Any]) -> Attack:
    """Return the attack of this name.

    Args:
        name: A key of :data:`ATTACKS`.
        parameters: Its target and whatever else it takes.

    Raises:
        AttackError: The name is unknown (the message has the nearest one), or a parameter doesn't fit.
    """
    return make_of(ATTACKS, name, parameters)
