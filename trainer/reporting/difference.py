"""The difference of two shares with its 95 % interval."""

import math
from typing import NamedTuple

from p2p.metrics.rate import Interval, Rate


class Difference(NamedTuple):
    """One share less another.

    Attributes:
        value: In [-1, 1]; NaN when either share has no rows.
        interval: Both ends at 95 %, in [-1, 1].
    """

    value: float
    interval: Interval

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "-"
        low, high = self.interval
        return f"{self.value:+.3f} ({low:+.3f} to {high:+.3f})"


def difference(first: Rate, second: Rate) -> Difference:
    """Return first - second with Newcombe's hybrid score interval, which is built from both Wilson intervals.

    Both shares are taken as independent. Where they were counted over the same rows this makes the interval wider than a paired
    one would be, never a claim stronger than it is.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
    methods", Statistics in Medicine 17 (1998), method 10.

    Args:
        first: The share that is compared.
        second: What it is compared with.
    """
    value = first.value - second.value
    if math.isnan(value):
        return Difference(value, Interval(-1.0, 1.0))
    one, two = first.interval, second.interval
    below = math.hypot(first.value - one.low, two.high - second.value)
    above = math.hypot(one.high - first.value, second.value - two.low)
    return Difference(value, Interval(max(-1.0, value - below), min(1.0, value + above)))
