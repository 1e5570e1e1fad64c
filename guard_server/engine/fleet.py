"""The engines behind a configuration: children that the guard starts, or vLLMs that are there already."""

import asyncio
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.metrics_core import Metric

from guard_server.adapter import LoadedAdapter
from guard_server.engine.channel import Link
from guard_server.engine.child import ServedModel, VllmChild
from guard_server.engine.lora_routes import LoraRoutes
from guard_server.engine.memory import available_bytes, require_room
from guard_server.engine.pool import EnginePool
from guard_server.engine.remote import RemoteEngines
from guard_server.engine.vllm import VllmEngine
from guard_server.engine.vllm_metrics import passed_on
from guard_server.errors import EngineLoadError, GuardConfigError
from guard_server.merging import merged_copy
from guard_server.settings import EngineSettings, GuardConfig

_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM's ``--max-lora-rank`` takes."""


class Fleet:
    """All engines of a guard.

    Attributes:
        engine: Asks the right one by content name.
        children: The processes that the guard started and that have come up once; empty for remote engines.
        exposures: What was found wrong with the doors of the remote engines, by engine; shown as a metric.
    """

    def __init__(self, config: GuardConfig, adapters: Iterable[LoadedAdapter]) -> None:
        by_target = {adapter.target: adapter for adapter in adapters}
        self.children: list[VllmChild] = []
        self.exposures: dict[str, list[str]] = {}
        self._config = config
        self._on_gpu = shutil.which("nvidia-smi") is not None and Path("/dev/nvidia0").exists()
        self._links: dict[str, Link] = {}
        self._remote: RemoteEngines | None = None
        self._starting: set[VllmChild] = set()
        self._past_restarts = 0
        if config.engine.remote_urls:
            directories = {target: adapter.verified.path for target, adapter in by_target.items()}
            self._remote = RemoteEngines(config.engine, directories)
            self.exposures = self._remote.exposures
            self._links |= dict.fromkeys(by_target, self._remote.pool)
        else:
            self._add_children(by_target)
        self.engine = VllmEngine.of_links(self._links)

    @property
    def pool(self) -> EnginePool | None:
        """The remote engines; None where the guard starts its own."""
        return self._remote.pool if self._remote else None

    @property
    def is_up(self) -> bool:
        """Whether every child is up, or one of the remote engines may be asked."""
        return self.pool.is_up if self.pool else all(child.is_up for child in self.children)

    @property
    def restarts(self) -> int:
        """How often children were started again, those that have ended since among them: it only grows."""
        return self._past_restarts + sum(child.restarts for child in self.children)

    def engine_of(self, target: str) -> object:
        """Return what is asked for a content name: the same for all adapters of one engine, or of one pool."""
        return self._links.get(target, target)

    async def metrics(self) -> list[Metric]:
        """Return some of the children's own metrics; remote engines have a door of their own for Prometheus."""
        return await passed_on([child.channel for child in self.children if child.is_up])

    async def start(self) -> None:
        """Start every child and wait until all are up.

        Raises:
            GuardConfigError: One of them ended or took too long.
        """
        for child in self.children:
            await child.start()
        await asyncio.gather(*(child.wait_until_up() for child in self.children))
        if self._remote:
            await self._remote.start()

    async def stop(self) -> None:
        """End every child and close every connection."""
        await asyncio.gather(*(child.stop() for child in (*self.children, *self._starting)))
        if self._remote:
            await self._remote.stop()

    async def load(self, adapter: LoadedAdapter) -> None:
        """Make an engine answer to an adapter's content name, beside all that it serves; does nothing when one does.

        A merged adapter gets an engine process of its own, which takes the memory of a whole model.

        Raises:
            EngineLoadError: No engine takes it.
            GuardConfigError: The process did not start, or the merged copy was changed.
        """
        if adapter.target in self._links:
            return
        if self._remote:
            await self._remote.load(adapter.target, adapter.verified.path)
            self._links[adapter.target] = self._remote.pool
        elif _as_lora(self._config.engine, adapter, on_gpu=self._on_gpu):
            await self._load_lora(adapter)
        else:
            cache = self._config.cache
            directory = await asyncio.to_thread(merged_copy, adapter, self._config.base_model, cache)
            require_room(directory, _cache_bytes(), available_bytes())
            await self._add_running(ServedModel(directory, (adapter.target,), {}))

    async def unload(self, target: str) -> None:
        """Let an engine forget a content name that nobody asks any more; remote engines keep it.

        Raises:
            EngineLoadError: The engine can't be reached.
        """
        self._links.pop(target, None)
        if self._remote:
            self._remote.forget(target)
        for child in list(self.children):
            if target in child.model.lora:
                del child.model.lora[target]
                await LoraRoutes(child.channel).unload(target)
            elif target in child.model.names:
                self.children.remove(child)
                self._past_restarts += child.restarts
                await child.stop()

    async def _load_lora(self, adapter: LoadedAdapter) -> None:
        directory = adapter.verified.path
        base = next((child for child in self.children if child.model.takes_lora), None)
        if base is None:
            await self._add_running(self._lora_model({adapter.target: directory}))
            return
        if (rank := _rank(directory)) > base.model.max_lora_rank:
            raise EngineLoadError(
                f"its rank is {rank}, the running engine takes up to {base.model.max_lora_rank}. Raise engine.max_lora_rank and "
                "restart the guard."
            )
        await LoraRoutes(base.channel).load(adapter.target, directory)
        base.model.lora[adapter.target] = directory
        self._links[adapter.target] = base.channel

    async def _add_running(self, model: ServedModel) -> None:
        child = self._child(model)
        self._starting.add(child)
        try:
            await child.start()
            await child.wait_until_up()
        except BaseException:
            # A cancelled load, too, must leave no process.
            await child.stop()
            raise
        finally:
            self._starting.discard(child)
        self._adopt(child)

    def _add_children(self, by_target: dict[str, LoadedAdapter]) -> None:
        if self._config.engine.serve_as == "lora":
            _require_lora_can_hold(by_target.values())
        lora = {
            target: adapter.verified.path
            for target, adapter in by_target.items()
            if _as_lora(self._config.engine, adapter, on_gpu=self._on_gpu)
        }
        if lora:
            self._adopt(self._child(self._lora_model(lora)))
        for target, adapter in by_target.items():
            if target not in lora:
                directory = merged_copy(adapter, self._config.base_model, self._config.cache)
                self._adopt(self._child(ServedModel(directory, (target,), {})))

    def _lora_model(self, lora: dict[str, Path]) -> ServedModel:
        settings = self._config.engine
        needed = max(settings.max_lora_rank, *map(_rank, lora.values()))
        rank = next((known for known in _LORA_RANKS if known >= needed), needed)
        return ServedModel(self._config.base_model, (), lora, rank, settings.max_loras or len(lora) + 1)

    def _child(self, model: ServedModel) -> VllmChild:
        threads = max(1, len(os.sched_getaffinity(0)))
        return VllmChild(model, self._config.engine, threads=threads, on_gpu=self._on_gpu)

    def _adopt(self, child: VllmChild) -> None:
        self.children.append(child)
        self._links |= dict.fromkeys((*child.model.names, *child.model.lora), child.channel)


def _as_lora(settings: EngineSettings, adapter: LoadedAdapter, *, on_gpu: bool) -> bool:
    wanted = on_gpu if settings.serve_as == "auto" else settings.serve_as == "lora"
    return wanted and not adapter.has_new_tokens


def _require_lora_can_hold(adapters: Iterable[LoadedAdapter]) -> None:
    """Refuse what vLLM's LoRA loader does not take: rows of the embedding."""
    if names := [adapter.name for adapter in adapters if adapter.has_new_tokens]:
        raise GuardConfigError(
            f"{', '.join(names)}: trained with new tokens, which vLLM can't serve as LoRA. Set engine.serve_as to `auto` or "
            "`merged`, or train again without task.new_tokens."
        )


def _rank(adapter: Path) -> int:
    rank: int = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["r"]
    return rank


def _cache_bytes() -> int:
    return int(float(os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1")) * (1 << 30))
