"""A registry as Prometheus' text, made beside the event loop: with a thousand adapters that takes half a second of processor time."""

import asyncio
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class Exposition:
    """The text of one registry. Whoever asks while it is being made gets the one that is being made.

    Args:
        registry: What is shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._shown = _WithoutBirthdays(registry)
        self._making: asyncio.Task[bytes] | None = None

    async def text(self) -> bytes:
        """Return the metrics in the text format 0.0.4."""
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(asyncio.to_thread(generate_latest, self._shown))
        # One client that goes away must not end it for the others.
        return await asyncio.shield(self._making)


class _WithoutBirthdays(Collector):
    """A registry without the ``_created`` series, one for each counter and histogram, which no rule and no panel reads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
