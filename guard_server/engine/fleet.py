"""The engines behind a configuration: children that the guard starts, or a vLLM that is there already."""

import asyncio
import json
import os
import shutil
import ssl
from collections.abc import Iterable
from pathlib import Path

import structlog

from guard_server.adapter import LoadedAdapter
from guard_server.engine.channel import Channel, Link
from guard_server.engine.child import ServedModel, VllmChild
from guard_server.engine.exposure import find_exposure
from guard_server.engine.pool import EnginePool, Member
from guard_server.engine.vllm import VllmEngine
from guard_server.errors import EngineUnavailableError, GuardConfigError
from guard_server.merging import merged_copy
from guard_server.settings import EngineSettings, GuardConfig

_log = structlog.get_logger()
_AGAIN_S = 5.0


class Fleet:
    """All engines of a guard.

    Attributes:
        engine: Asks the right one by content name.
        children: The processes that the guard started; empty for remote engines.
        pool: The remote engines; None where the guard starts its own.
        exposures: What was found wrong with the doors of the remote engines, by engine; shown as a metric.
    """

    def __init__(self, config: GuardConfig, adapters: Iterable[LoadedAdapter]) -> None:
        by_target = {adapter.target: adapter for adapter in adapters}
        self.children: list[VllmChild] = []
        self.pool: EnginePool | None = None
        self.exposures: dict[str, list[str]] = {}
        self._links: dict[str, Link] = {}
        self._watching: list[asyncio.Task[None]] = []
        if config.engine.remote_urls:
            members = _members(config.engine)
            self.pool = EnginePool(members, self._links.keys, config.engine.hang_s)
            self._links = dict.fromkeys(by_target, self.pool)
        else:
            self._add_children(config, by_target)
        self.engine = VllmEngine.of_links(self._links)

    @property
    def is_up(self) -> bool:
        """Whether every child is up, or one of the remote engines may be asked."""
        return self.pool.is_up if self.pool else all(child.is_up for child in self.children)

    async def start(self) -> None:
        """Start every child and wait until all are up.

        Raises:
            GuardConfigError: One of them ended or took too long.
        """
        for child in self.children:
            await child.start()
        await asyncio.gather(*(child.wait_until_up() for child in self.children))
        if self.pool:
            self._watching = [asyncio.create_task(self.pool.watch())]
            self._watching += [asyncio.create_task(self._warn_of(member)) for member in self.pool.members]

    async def stop(self) -> None:
        """End every child and close every connection."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await asyncio.gather(*(child.stop() for child in self.children))
        for member in self.pool.members if self.pool else ():
            await member.channel.cut()

    async def _warn_of(self, member: Member) -> None:
        """Look at a remote engine's doors once it answers."""
        while member.name not in self.exposures:
            try:
                self.exposures[member.name] = await find_exposure(member.channel)
            except EngineUnavailableError:
                await asyncio.sleep(_AGAIN_S)
        if found := self.exposures[member.name]:
            _log.warning("THE_ENGINE_CAN_BE_REACHED_PAST_THE_GUARD", engine=member.name, faults=found)

    def _add_children(self, config: GuardConfig, by_target: dict[str, LoadedAdapter]) -> None:
        on_gpu = shutil.which("nvidia-smi") is not None and Path("/dev/nvidia0").exists()
        models = _served_models(config, by_target, on_gpu=on_gpu)
        threads = max(1, len(os.sched_getaffinity(0)))
        for model in models:
            child = VllmChild(model, config.engine, threads=threads, on_gpu=on_gpu)
            self.children.append(child)
            self._links |= dict.fromkeys((*model.names, *model.lora), child.channel)


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


def _members(settings: EngineSettings) -> list[Member]:
    """Return the remote engines, named by their place in the configuration."""
    key = _remote_key(settings)
    if settings.ca_file and not settings.ca_file.is_file():
        raise GuardConfigError(f"engine.ca_file: there is no {settings.ca_file}")
    try:
        return [
            Member(str(at), Channel(url, key=key, ca_file=settings.ca_file, timeout_s=settings.timeout_s))
            for at, url in enumerate(settings.remote_urls)
        ]
    except ssl.SSLError as error:
        raise GuardConfigError(f"engine.ca_file: {settings.ca_file} holds no certificates (PEM)") from error


def _remote_key(settings: EngineSettings) -> str | None:
    name = settings.api_key_env
    if name and not os.environ.get(name):
        raise GuardConfigError(f"engine.api_key_env names {name}, which is not set")
    return os.environ[name] if name else None
