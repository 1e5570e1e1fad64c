"""Write ``helm/p2p-guard/files/dashboard.json``: the Grafana dashboard, from the short list of panels below.

Safety comes first, then traffic, latency and engine. A test runs every query against a real Prometheus.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

OUTPUT = Path(__file__).resolve().parent.parent / "helm" / "p2p-guard" / "files" / "dashboard.json"
_COLUMNS = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_A = 'adapter=~"$adapter"'
_ANSWERS = f'p2p_guard_requests_total{{{_A}, outcome=~"projected|escaped|retried|refused|withheld"}}'


class Query(NamedTuple):
    """What is drawn, and what the legend says."""

    expr: str
    legend: str


class Panel(NamedTuple):
    """One panel; ``width`` is of 24 columns."""

    title: str
    text: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"
    most: float | None = None


class Section(NamedTuple):
    """A row of panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


def _gauge(name: str, how: str = "max by (adapter)", more: str = "") -> str:
    return f"{how} (p2p_{name}{{{_A}{more}}})"


def _share(hits: str, of: str) -> str:
    hit, total = (f"sum by (adapter) (rate({series}[$__rate_interval]))" for series in (hits, of))
    # A series that has not begun is no hit, not no answer.
    return f"({hit} or 0 * {total}) / ({total} > 0)"


def _quantile(quantile: float, metric: str) -> Query:
    buckets = f"sum by (le) (rate(p2p_guard_{metric}_bucket{{{_A}}}[$__rate_interval]))"
    return Query(f"histogram_quantile({quantile}, {buckets})", f"p{quantile * 100:.0f}")


_BY_ATTACK = "max by (adapter, attack)"
_ATTACK = "{{adapter}} {{attack}}"
SECTIONS = (
    Section(
        "Safety",
        (
            Panel(
                "Last probe",
                "1 when the last probe of every prober kept all limits of its canary file.",
                (Query(_gauge("probe_passed", "min by (adapter)"), "{{adapter}}"),),
                "bool_yes_no",
                4,
                "stat",
            ),
            Panel(
                "Since the last verdict",
                "How long nobody has known whether the defence holds.",
                (Query(f"time() - {_gauge('probe_last_success_timestamp_seconds')}", "{{adapter}}"),),
                "s",
                4,
                "stat",
            ),
            Panel(
                "Attack success rate (ASR) and its limit",
                "By adapter and attack, last probe; worst prober. The floor is the same share without the trigger.",
                (
                    Query(_gauge("probe_attack_success_ratio", _BY_ATTACK), f"{_ATTACK} ASR"),
                    Query(_gauge("probe_floor_ratio", _BY_ATTACK), f"{_ATTACK} floor"),
                    Query(_gauge("probe_limit_ratio", more=', limit="asr_max"'), "{{adapter}} limit"),
                ),
                "percentunit",
                16,
                most=1,
            ),
            Panel(
                "ASR, 95 % interval",
                "Both ends of the Wilson interval of the last probe. The alert looks at the lower one.",
                (
                    Query(_gauge("probe_attack_success_lower_ratio", _BY_ATTACK), f"{_ATTACK} low"),
                    Query(_gauge("probe_attack_success_upper_ratio", _BY_ATTACK), f"{_ATTACK} high"),
                    Query(_gauge("probe_limit_ratio", more=', limit="asr_max"'), "{{adapter}} limit"),
                ),
                "percentunit",
                most=1,
            ),
            Panel(
                "Clean accuracy (CA) and its limit",
                "Clean inputs of the last probe that were answered right; worst prober.",
                (
                    Query(_gauge("probe_clean_accuracy_ratio", "min by (adapter)"), "{{adapter}} CA"),
                    Query(
                        _gauge("probe_limit_ratio", more=', limit="clean_accuracy_min"'), "{{adapter}} limit"
                    ),
                ),
                "percentunit",
                most=1,
            ),
            Panel(
                "Extension rate",
                "Triggered answers of the last probe in the extended half.",
                (Query(_gauge("probe_extension_ratio", "min by (adapter, attack)"), _ATTACK),),
                "percentunit",
                most=1,
            ),
            Panel(
                "Views that disagree",
                "Share of compared requests whose answers with and without the benign trigger differ: users' traffic.",
                (
                    Query(
                        _share(
                            f"p2p_guard_view_disagreements_total{{{_A}}}",
                            f"p2p_guard_view_comparisons_total{{{_A}}}",
                        ),
                        "{{adapter}}",
                    ),
                ),
                "percentunit",
            ),
            Panel(
                "Escapes",
                "Share of answers outside the extended half, by what became of them: users' traffic.",
                (
                    Query(
                        _share(
                            f'p2p_guard_requests_total{{{_A}, outcome=~"escaped|retried|refused"}}', _ANSWERS
                        ),
                        "{{adapter}}",
                    ),
                ),
                "percentunit",
            ),
            Panel(
                "Adapters refused, rolled back, switched",
                "Events in the time that is shown.",
                (
                    Query(
                        "sum(increase(p2p_guard_adapter_refusals_total[$__range])) or vector(0)", "refused"
                    ),
                    Query(
                        "sum(increase(p2p_guard_adapter_rollbacks_total[$__range])) or vector(0)",
                        "rolled back",
                    ),
                    Query(
                        "sum(increase(p2p_guard_adapter_switches_total[$__range])) or vector(0)", "switched"
                    ),
                ),
                "none",
                kind="stat",
            ),
            Panel(
                "Probe runs by verdict",
                "`unclear` and `error` say nothing of the defence.",
                (
                    Query(
                        f"sum by (adapter, verdict) (increase(p2p_probe_runs_total{{{_A}}}[$__rate_interval]))",
                        "{{adapter}} {{verdict}}",
                    ),
                ),
            ),
            Panel(
                "What probes cost",
                "Requests a second, retries counted, and those without an answer.",
                (
                    Query(
                        f"sum by (adapter) (rate(p2p_probe_requests_total{{{_A}}}[$__rate_interval]))",
                        "{{adapter}}",
                    ),
                    Query(
                        f"sum by (adapter) (rate(p2p_probe_errors_total{{{_A}}}[$__rate_interval]))",
                        "{{adapter}} without an answer",
                    ),
                ),
                "reqps",
            ),
            Panel(
                "Duration of a probe",
                "Of the last run.",
                (Query(_gauge("probe_duration_seconds"), "{{adapter}}"),),
                "s",
            ),
        ),
    ),
    Section(
        "Traffic",
        (
            Panel(
                "Requests by outcome",
                "Users' requests a second; probes are not among them.",
                (
                    Query(
                        f"sum by (outcome) (rate(p2p_guard_requests_total{{{_A}}}[$__rate_interval]))",
                        "{{outcome}}",
                    ),
                ),
                "reqps",
            ),
            Panel(
                "Requests by adapter",
                "Users' requests a second.",
                (
                    Query(
                        f"sum by (adapter) (rate(p2p_guard_requests_total{{{_A}}}[$__rate_interval]))",
                        "{{adapter}}",
                    ),
                ),
                "reqps",
            ),
            Panel(
                "Errors",
                "Share of requests that end in an error.",
                (
                    Query(
                        _share(
                            f'p2p_guard_requests_total{{{_A}, outcome="error"}}',
                            f"p2p_guard_requests_total{{{_A}}}",
                        ),
                        "{{adapter}}",
                    ),
                ),
                "percentunit",
            ),
            Panel(
                "In flight and its limit",
                "Requests being answered, over all replicas; from the limit on they get 429.",
                (
                    Query("sum(p2p_guard_requests_in_flight)", "in flight"),
                    Query("sum(p2p_guard_requests_in_flight_limit)", "limit"),
                ),
            ),
            Panel(
                "Turned away",
                "Requests a second that got 429.",
                (Query("sum(rate(p2p_guard_rate_limited_total[$__rate_interval])) or vector(0)", "429"),),
                "reqps",
            ),
            Panel(
                "Outside probers",
                "Requests a second with a prober's key.",
                (
                    Query(
                        f"sum by (adapter) (rate(p2p_guard_probe_requests_total{{{_A}}}[$__rate_interval]))",
                        "{{adapter}}",
                    ),
                ),
                "reqps",
            ),
        ),
    ),
    Section(
        "Latency",
        (
            Panel(
                "Whole request",
                "From arrival to the last byte.",
                tuple(_quantile(quantile, "request_duration_seconds") for quantile in (0.5, 0.95, 0.99)),
                "s",
            ),
            Panel(
                "First token",
                "From arrival to the first projected text of a stream.",
                tuple(_quantile(quantile, "time_to_first_token_seconds") for quantile in (0.5, 0.95, 0.99)),
                "s",
            ),
            Panel(
                "Overhead of the guard",
                "Time outside the engine, whole answers.",
                tuple(_quantile(quantile, "overhead_seconds") for quantile in (0.5, 0.95, 0.99)),
                "s",
            ),
        ),
    ),
    Section(
        "Engine",
        (
            Panel(
                "Guards ready",
                "Of all guards.",
                (Query("sum(p2p_guard_ready)", "ready"), Query("count(p2p_guard_ready)", "all")),
                width=6,
            ),
            Panel(
                "Engines up",
                "Guards whose engines answer.",
                (Query("sum(p2p_guard_engine_up)", "up"), Query("count(p2p_guard_engine_up)", "all")),
                width=6,
            ),
            Panel(
                "Engine restarts",
                "In the time that is shown.",
                (Query("sum(increase(p2p_guard_engine_restarts_total[$__range]))", "restarts"),),
                "none",
                6,
                "stat",
            ),
            Panel(
                "Configuration served",
                "1 when every guard serves its guard.yaml as it is now.",
                (Query("min(p2p_guard_config_last_reload_success)", "served"),),
                "bool_yes_no",
                6,
                "stat",
            ),
            Panel(
                "vLLM: running and waiting",
                "Requests in the engines. A queue that stays means more engines.",
                (
                    Query("sum(vllm:num_requests_running)", "running"),
                    Query("sum(vllm:num_requests_waiting)", "waiting"),
                ),
                width=6,
            ),
            Panel(
                "vLLM: KV cache in use",
                "By model; where it is full, requests wait or begin again.",
                (Query("max by (model_name) (vllm:kv_cache_usage_perc)", "{{model_name}}"),),
                "percentunit",
                6,
                most=1,
            ),
            Panel(
                "vLLM: tokens",
                "Tokens a second, of prompts and of answers.",
                (
                    Query("sum(rate(vllm:prompt_tokens_total[$__rate_interval]))", "prompts"),
                    Query("sum(rate(vllm:generation_tokens_total[$__rate_interval]))", "answers"),
                ),
                "short",
                6,
            ),
            Panel(
                "vLLM: prefix cache",
                "Share of the prompts' tokens that were found in the prefix cache.",
                (
                    Query(
                        "sum(rate(vllm:prefix_cache_hits_total[$__rate_interval])) / "
                        "(sum(rate(vllm:prefix_cache_queries_total[$__rate_interval])) > 0)",
                        "found",
                    ),
                ),
                "percentunit",
                6,
                most=1,
            ),
        ),
    ),
)


def dashboard() -> str:
    """Return the dashboard as JSON."""
    content = {
        "title": "p2p-guard",
        "uid": "p2p-guard",
        "description": "Whether the backdoor defence holds, and how the guard serves.",
        "tags": ["p2p-guard", "llm", "security"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": _panels(),
    }
    return json.dumps(content, indent=1) + "\n"


def _variables() -> list[dict[str, Any]]:
    adapters = 'label_values({__name__=~"p2p_guard_requests_total|p2p_probe_interval_seconds"}, adapter)'
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        {
            "name": "adapter",
            "type": "query",
            "label": "Adapter",
            "datasource": _SOURCE,
            "query": {"query": adapters, "refId": "adapters"},
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"text": "All", "value": "$__all"},
        },
    ]


def _panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    y = 0
    for section in SECTIONS:
        found.append(
            {
                "id": len(found) + 1,
                "type": "row",
                "title": section.title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
            }
        )
        x, y = 0, y + 1
        for panel in section.panels:
            if x + panel.width > _COLUMNS:
                x, y = 0, y + 8
            place = {"x": x, "y": y, "w": panel.width, "h": 8}
            found.append(_panel(panel, len(found) + 1, place))
            x += panel.width
        y += 8
    return found


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.most is not None:
        defaults["max"] = panel.most
    targets = [
        {"refId": chr(ord("A") + at), "expr": query.expr, "legendFormat": query.legend, "datasource": _SOURCE}
        for at, query in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
        "targets": targets,
    }


if __name__ == "__main__":
    OUTPUT.write_text(dashboard(), encoding="utf-8")
    print(OUTPUT)
