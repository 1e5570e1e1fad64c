"""Metrics as Prometheus' text, made beside the event loop: with a thousand adapters that takes half a second of processor time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


async def _nothing() -> Sequence[Metric]:
    return ()


class Exposition:
    """The text of one registry. Whoever asks while it is being made gets the one that is being made.

    Args:
        registry: What is shown.
        beside: Gives what is shown besides, such as the engines' own metrics.
    """

    def __init__(
        self, registry: CollectorRegistry, beside: Callable[[], Awaitable[Sequence[Metric]]] = _nothing
    ) -> None:
        self._registry = registry
        self._beside = beside
        self._making: asyncio.Task[bytes] | None = None

    async def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._make())
        # One client that goes away must not end it for the others.
        return await asyncio.shield(self._making)

    async def _make(self) -> bytes:
        shown = _Shown(self._registry, await self._beside())
        return await asyncio.to_thread(generate_latest, shown)


class _Shown(Collector):
    """Everything but the ``_created`` series, one for each counter and histogram, which no rule and no panel reads."""

    def __init__(self, registry: CollectorRegistry, beside: Sequence[Metric]) -> None:
        self._registry = registry
        self._beside = beside

    def collect(self) -> Iterable[Metric]:
        for family in (*self._registry.collect(), *self._beside):
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
