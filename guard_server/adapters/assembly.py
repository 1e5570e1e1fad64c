"""The life cycle of a guard, put together from its parts."""

from collections import Counter

from guard_server.adapters.gate import CanaryGate
from guard_server.adapters.history import History
from guard_server.adapters.lifecycle import Lifecycle
from guard_server.adapters.preparing import Preparation
from guard_server.adapters.refusal import RefusalReason
from guard_server.adapters.reloading import ReloadResult
from guard_server.adapters.residency import AdapterEngines, Residency
from guard_server.metrics import GuardMetrics
from guard_server.pipeline import GuardPipeline
from guard_server.readiness import Readiness
from guard_server.settings import GuardConfig


def gated_names(config: GuardConfig) -> frozenset[str]:
    """Return every name whose adapter must pass a gate before it is served."""
    gated = (adapter for adapter in config.adapters if adapter.policy.canary)
    return frozenset(name for adapter in gated for name in adapter.names)


def make_lifecycle(
    config: GuardConfig,
    pipeline: GuardPipeline,
    engines: AdapterEngines,
    readiness: Readiness,
    metrics: GuardMetrics,
) -> Lifecycle:
    """Build it.

    Args:
        config: What is served from the start.
        pipeline: Its registry's names are switched; its engine is asked by the gate.
        engines: Where versions are loaded.
        readiness: Warms versions up, and tells how many names are served.
        metrics: Counts.
    """
    # From zero on: a rate can't be told of a counter that begins with its first event.
    for reason in RefusalReason:
        metrics.adapter_refusals.labels(reason)
    for result in ReloadResult:
        metrics.config_reloads.labels(result)
    registry, history = pipeline.adapters, History()
    residency = Residency(engines, registry)
    preparation = Preparation(residency, CanaryGate(pipeline.engine), readiness.warm_up, metrics, history)
    lifecycle = Lifecycle(config, registry, residency, preparation, metrics, history)
    readiness.details["adapters"] = lambda: Counter(slot.state for slot in lifecycle.slots.values())
    return lifecycle
