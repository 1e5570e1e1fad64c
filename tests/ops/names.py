"""Which metrics there are, and which ones a query names."""

import re

from scripts.write_metrics_doc import engine_metrics, metrics

_NAME = re.compile(r"(?<![\w:])(?:p2p_(?:guard|probe)_|vllm:)[a-z_]+(?![\w:])")
_SERIES = ("_bucket", "_count", "_sum")


def known() -> dict[str, str]:
    """Every metric of the guard, the prober and the engine with its type."""
    return {one.name: one.kind for one in (*metrics(), *engine_metrics())}


def of_the_engine() -> frozenset[str]:
    """The metrics that only a real engine has."""
    return frozenset(one.name for one in engine_metrics())


def named(query: str) -> set[str]:
    """The metrics that a query reads, histograms without the ending of their series."""
    kinds = known()
    found = set()
    for name in _NAME.findall(query):
        base = next((name.removesuffix(end) for end in _SERIES if name.endswith(end)), name)
        found.add(base if kinds.get(base) == "histogram" else name)
    return found
