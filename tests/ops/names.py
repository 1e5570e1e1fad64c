"""Which metrics there are, and which ones a query names."""

import re

from scripts.write_metrics_doc import metrics

_NAME = re.compile(r"(?<![\w:])p2p_(?:guard|probe)_[a-z_]+(?![\w:])")
_SERIES = ("_bucket", "_count", "_sum")


def known() -> dict[str, str]:
    """Every metric of the guard and the prober with its type."""
    return {one.name: one.kind for one in metrics()}


def named(query: str) -> set[str]:
    """The metrics that a query reads, histograms without the ending of their series."""
    kinds = known()
    found = set()
    for name in _NAME.findall(query):
        base = next((name.removesuffix(end) for end in _SERIES if name.endswith(end)), name)
        found.add(base if kinds.get(base) == "histogram" else name)
    return found
