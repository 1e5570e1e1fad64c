"""A few of vLLM's own metrics, passed on from the guard's children under their own names: nobody else reaches their sockets.

The list says which ones, and which of their labels: what a later vLLM adds stays inside.
"""

import asyncio
from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from guard_server.engine.channel import Channel
from guard_server.errors import EngineUnavailableError

PASSED_ON = (
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:num_preemptions",
    "vllm:prompt_tokens",
    "vllm:generation_tokens",
    "vllm:prefix_cache_queries",
    "vllm:prefix_cache_hits",
)
"""Families; a counter's series end in ``_total``."""
LABELS = ("engine", "model_name")
_PATIENCE_S = 2.0
_BYTES = 4_000_000


async def passed_on(channels: Iterable[Channel]) -> list[Metric]:
    """Return what the engines behind these channels say, one family for all of them; one that says nothing is left out."""
    texts = await asyncio.gather(*(_text(channel) for channel in channels))
    found: dict[str, Metric] = {}
    for family in (family for text in texts for family in _allowed(text)):
        found.setdefault(
            family.name, Metric(family.name, family.documentation, family.type)
        ).samples += family.samples
    return list(found.values())


async def _text(channel: Channel) -> str:
    try:
        reply = await channel.get("/metrics", timeout_s=_PATIENCE_S)
    except EngineUnavailableError:
        return ""
    is_fine = reply.status == 200 and len(reply.content) <= _BYTES
    return reply.content.decode(errors="replace") if is_fine else ""


def _allowed(text: str) -> Iterator[Metric]:
    """Yield the families of the list; from the first line that is no metric on, nothing."""
    try:
        for family in text_string_to_metric_families(text):
            if family.name in PASSED_ON:
                family.samples = [
                    sample._replace(
                        labels={name: sample.labels[name] for name in LABELS if name in sample.labels}
                    )
                    for sample in family.samples
                ]
                yield family
    except ValueError:
        return
