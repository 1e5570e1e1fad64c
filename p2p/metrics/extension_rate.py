"""Extension rate: the share of answers that fall in the extended half or carry the prefix p; the rest are escapes."""

from collections.abc import Sequence

from p2p.metrics.rate import Rate
from p2p.projection import Projection


def extension_rate(projections: Sequence[Projection]) -> Rate:
    """Return the share of replies that stood in the extended half."""
    return Rate.of([projection.extended for projection in projections])
