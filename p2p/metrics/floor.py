"""Floor: how often the attacker's answer comes without the attacker's trigger."""

from collections.abc import Iterable

from p2p.metrics.attack_success import attack_success_rate
from p2p.metrics.rate import Rate


def floor(untriggered_successes: Iterable[bool]) -> Rate:
    """Return the share of target answers on the rows of the attack success rate, asked without the malicious trigger.

    Args:
        untriggered_successes: What ``Attack.succeeds`` says of the answer to each of the same rows, untouched.
    """
    return attack_success_rate(untriggered_successes)
