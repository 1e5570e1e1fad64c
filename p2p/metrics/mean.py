"""The interval of a mean whose values have no simple distribution, such as ROUGE."""

from collections.abc import Sequence
from random import Random

from p2p.metrics.rate import Interval


def bootstrap_interval(values: Sequence[float], resamples: int = 1000, seed: int = 0) -> Interval | None:
    """Return the 95 % percentile bootstrap interval of a mean.

    Rows are drawn with replacement, as many as there are; the interval goes from the 2.5th to the 97.5th percentile of the means of all
    draws.

    Source: B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7 (1979).

    Args:
        values: One a row.
        resamples: How often rows are drawn, at least 40.
        seed: Decides the draws, so that the same values give the same interval.

    Returns:
        Both ends; None when there are no values.
    """
    if not values:
        return None
    rng, count = Random(seed), len(values)
    means = sorted(sum(rng.choices(values, k=count)) / count for _ in range(resamples))
    tail = resamples // 40
    return Interval(means[tail], means[-1 - tail])
