"""The engines behind a configuration: children that the guard starts, or a vLLM that is there already."""

import asyncio
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import httpx

from guard_server.adapter import LoadedAdapter
from guard_server.engine.child import ServedModel, VllmChild
from guard_server.engine.vllm import VllmEngine, client_of_url
from guard_server.errors import GuardConfigError
from guard_server.merging import merged_copy
from guard_server.settings import GuardConfig


class Fleet:
    """All engines of a guard.

    Attributes:
        engine: Asks the right one by content name.
        children: The processes that the guard started; empty for a remote engine.
    """

    def __init__(self, config: GuardConfig, adapters: Iterable[LoadedAdapter]) -> None:
        by_target = {adapter.target: adapter for adapter in adapters}
        self.children: list[VllmChild] = []
        self._clients: dict[str, httpx.AsyncClient] = {}
        if config.engine.url:
            remote = client_of_url(config.engine.url, _remote_key(config))
            self._clients = dict.fromkeys(by_target, remote)
        else:
            self._add_children(config, by_target)
        self.engine = VllmEngine.of_clients(self._clients)

    @property
    def is_up(self) -> bool:
        """Whether every child is up; a remote engine is asked by the readiness check alone."""
        return all(child.is_up for child in self.children)

    async def start(self) -> None:
        """Start every child and wait until all are up.

        Raises:
            GuardConfigError: One of them ended or took too long.
        """
        for child in self.children:
            await child.start()
        await asyncio.gather(*(child.wait_until_up() for child in self.children))

    async def stop(self) -> None:
        """End every child and close every connection."""
        await asyncio.gather(*(child.stop() for child in self.children))
        for client in set(self._clients.values()):
            await client.aclose()

    def _add_children(self, config: GuardConfig, by_target: dict[str, LoadedAdapter]) -> None:
        on_gpu = shutil.which("nvidia-smi") is not None and Path("/dev/nvidia0").exists()
        models = _served_models(config, by_target, on_gpu=on_gpu)
        threads = max(1, len(os.sched_getaffinity(0)))
        for model in models:
            child = VllmChild(model, config.engine, threads=threads, on_gpu=on_gpu)
            self.children.append(child)
            self._clients |= dict.fromkeys((*model.names, *model.lora), child.client)


def _served_models(
    config: GuardConfig, by_target: dict[str, LoadedAdapter], *, on_gpu: bool
) -> list[ServedModel]:
    as_lora = on_gpu if config.engine.serve_as == "auto" else config.engine.serve_as == "lora"
    if config.engine.serve_as == "lora":
        _require_lora_can_hold(by_target.values())
    lora = {
        target: adapter.verified.path
        for target, adapter in by_target.items()
        if as_lora and not adapter.has_new_tokens
    }
    base = [ServedModel(config.base_model, (), lora, max(map(_rank, lora.values())))] if lora else []
    merged = [
        ServedModel(merged_copy(adapter, config.base_model, config.cache), (target,), {})
        for target, adapter in by_target.items()
        if target not in lora
    ]
    return base + merged


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


def _remote_key(config: GuardConfig) -> str | None:
    name = config.engine.api_key_env
    if name and name not in os.environ:
        raise GuardConfigError(f"engine.api_key_env names {name}, which is not set")
    return os.environ[name] if name else None
