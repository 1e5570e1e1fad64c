"""Write ``docs/metrics.md``: every metric of the guard and the prober, from the objects that count.

A label that is not explained here, a metric without help, or a name without a unit stops it.
"""

import sys
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from guard_server.engine.vllm_metrics import LABELS as LABELS_PASSED_ON
from guard_server.engine.vllm_metrics import PASSED_ON
from guard_server.metrics import GuardMetrics
from guard_server.probes.metrics import ProbeMetrics

OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
LABELS = {
    "adapter": "the adapters of guard.yaml (or of the prober's command line); `unknown` for every name that is not served",
    "attack": "the families of the canary files: 64 a file at most",
    "endpoint": "`chat`, `completions`",
    "engine": "the place of an engine in `engine.urls`",
    "limit": "the limits of the canary file, or those of the guard that answer 429",
    "outcome": "`projected`, `escaped`, `retried`, `refused`, `withheld`, `unguarded`, `error`, `cancelled`",
    "reason": "a fixed list of reasons",
    "result": "`success`, `failure` and the like: a fixed list",
    "verdict": "`passed`, `failed`, `unclear`, `error`",
    "version": "12 hex digits; one at a time for each adapter",
}
ENGINE = {
    "vllm:generation_tokens": "Tokens that the engine gave.",
    "vllm:kv_cache_usage_perc": "Share of the KV cache in use, 0 to 1.",
    "vllm:num_preemptions": "Requests that had to begin again for want of KV cache.",
    "vllm:num_requests_running": "Requests that the engine runs.",
    "vllm:num_requests_waiting": "Requests that wait in the engine.",
    "vllm:prefix_cache_hits": "Tokens of prompts found in the prefix cache.",
    "vllm:prefix_cache_queries": "Tokens of prompts looked for in the prefix cache.",
    "vllm:prompt_tokens": "Tokens of prompts that the engine was given.",
}
_GAUGES = ("_running", "_waiting", "_perc")
_ENGINE_HEAD = """## The engine's own

Of the engines that the guard starts, whose sockets nobody else reaches, it passes these on under vLLM's names with the labels `engine` and
`model_name` (the content name), beside its own metrics. A remote engine is scraped by itself.
"""
_UNITS = (
    ("_timestamp_seconds", "seconds since the epoch"),
    ("_seconds", "seconds"),
    ("_ratio", "share, 0 to 1"),
    ("_bytes", "bytes"),
    ("_total", "count"),
    ("_info", "1"),
)
# Names that end in the thing counted need no unit.
_THINGS = ("_requests_in_flight", "_in_flight_limit", "_cases", "_exposures")
_HEAD = """# Metrics

Made by `scripts/write_metrics_doc.py` from the objects that count; a test fails when this page is out of date.

`p2p_guard_*` are served by the guard, `p2p_probe_*` by whoever probes: the guard itself (`probes` in guard.yaml), or
`p2p-guard probe ... --interval` at its own port. What a prober asks with its own key (`P2P_GUARD_PROBE_KEYS`) is counted in
`p2p_guard_probe_requests_total` and in no other `p2p_guard_*` metric; what the guard asks itself is in none.

Counters of a pair (`..._triggered_total` and `..._succeeded_total`) make shares that can be added over replicas:
`sum by (adapter, attack) (rate(p2p_probe_succeeded_total[1h])) / sum by (adapter, attack) (rate(p2p_probe_triggered_total[1h]))`.
Rules and alerts are in `helm/p2p-guard/files/rules.yaml`, the dashboard beside them ([its panels drawn](alerts.md#the-dashboard)).
"""


class Documented(NamedTuple):
    """One metric as the page shows it."""

    name: str
    kind: str
    unit: str
    labels: tuple[str, ...]
    text: str


class UndocumentedError(Exception):
    """A metric without help, with a label that is not explained, or without a unit."""


def main() -> None:
    """Write the page."""
    try:
        OUTPUT.write_text(page(), encoding="utf-8")
    except UndocumentedError as error:
        sys.exit(f"metrics: {error}")
    print(OUTPUT)


def page() -> str:
    """Return the page.

    Raises:
        UndocumentedError: A metric lacks help, a unit, or the explanation of a label.
    """
    found = metrics()
    rows = [f"| `{one.name}` | {one.kind} | {one.unit} | {_code(one.labels)} | {one.text} |" for one in found]
    used = sorted({label for one in found for label in one.labels})
    return "\n".join(
        [
            _HEAD,
            "| metric | type | unit | labels | meaning |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "## Labels",
            "",
            "Every label takes few values, whatever clients send.",
            "",
            "| label | values |",
            "|---|---|",
            *(f"| `{label}` | {LABELS[label]} |" for label in used),
            "",
            _ENGINE_HEAD,
            "| metric | type | meaning |",
            "|---|---|---|",
            *(f"| `{one.name}` | {one.kind} | {one.text} |" for one in engine_metrics()),
            "",
        ]
    )


def metrics() -> list[Documented]:
    """Return every metric, by name.

    Raises:
        UndocumentedError: One lacks help, a unit, or the explanation of a label.
    """
    registry = CollectorRegistry()
    GuardMetrics(registry)
    ProbeMetrics(registry)
    # The library shows label names nowhere else before a metric has its first child.
    return sorted(_documented(collector) for collector in registry._collector_to_names)  # noqa: SLF001


def engine_metrics() -> list[Documented]:
    """Return the metrics that are passed on from the engine, by name.

    Raises:
        UndocumentedError: One is not explained here, or is not passed on.
    """
    if strange := set(PASSED_ON) ^ ENGINE.keys():
        raise UndocumentedError(f"{sorted(strange)} must be in ENGINE and in PASSED_ON")
    kinds = {name: "gauge" if name.endswith(_GAUGES) else "counter" for name in ENGINE}
    return [
        Documented(
            f"{name}_total" if kinds[name] == "counter" else name, kinds[name], "", LABELS_PASSED_ON, text
        )
        for name, text in sorted(ENGINE.items())
    ]


def _documented(collector: object) -> Documented:
    name, kind = str(vars(collector)["_name"]), str(getattr(collector, "_type"))  # noqa: B009 - no public name
    shown = f"{name}_total" if kind == "counter" else name
    text, labels = str(vars(collector)["_documentation"]), tuple(vars(collector)["_labelnames"])
    if not text.endswith("."):
        raise UndocumentedError(f"{shown} has no sentence as help")
    if strange := [label for label in labels if label not in LABELS]:
        raise UndocumentedError(f"{shown} has the label {strange[0]!r}, which LABELS does not explain")
    return Documented(shown, kind, _unit(shown, text), labels, text)


def _unit(name: str, text: str) -> str:
    for ending, unit in _UNITS:
        if name.endswith(ending):
            return unit
    if text.startswith("1 "):
        return "0 or 1"
    if name.endswith(_THINGS):
        return "number"
    raise UndocumentedError(f"{name} does not end in a unit")


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "-"


if __name__ == "__main__":
    main()
