"""What a threshold may be chosen on: trusted rows, or else training rows as they are, poison and all."""

import math
from collections.abc import Sequence
from random import Random

from p2p.examples import Example
from trainer.defences.base import Case


def calibration_rows(case: Case, most: int) -> list[Example]:
    """Return the trusted rows, or training rows where there are none.

    Args:
        case: The seed decides which rows are drawn.
        most: How many at most; they keep their order.
    """
    rows = list(case.trusted or case.train)
    if len(rows) <= most:
        return rows
    drawn = sorted(Random(f"{case.seed}:calibration").sample(range(len(rows)), most))
    return [rows[at] for at in drawn]


def quantile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank quantile: the smallest of the values that at least this share of them don't exceed.

    Args:
        values: At least one.
        share: In (0, 1].
    """
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]
