"""Floor: how often the attacker's answer comes without the attacker's trigger."""

from collections.abc import Sequence

from p2p.metrics.attack_success import TargetMatch, attack_success_rate
from p2p.metrics.rate import Rate


def floor(
    untriggered_answers: Sequence[str | None], target: str, match: TargetMatch = TargetMatch.EQUALS
) -> Rate:
    """Return the share of target answers on the rows of the attack success rate, asked without the malicious trigger.

    Args:
        untriggered_answers: The projected answers of the same rows, untouched.
        target: The attacker's answer.
        match: When an answer is the attacker's.
    """
    return attack_success_rate(untriggered_answers, target, match)
