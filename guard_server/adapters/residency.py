"""Which content is in the engine, and for whom: loaded once, kept while anybody claims it, unloaded after its last request."""

import asyncio
from collections import Counter, defaultdict
from typing import Protocol

import structlog

from guard_server.adapter import LoadedAdapter
from guard_server.adapters.registry import Registry
from guard_server.errors import EngineLoadError

_log = structlog.get_logger()


class AdapterEngines(Protocol):
    """Where adapters are loaded; a fleet is one."""

    async def load(self, adapter: LoadedAdapter) -> None:
        """Make the engine answer to an adapter's content name; does nothing when it does."""
        ...

    async def unload(self, target: str) -> None:
        """Let the engine forget a content name."""
        ...


class AlwaysLoaded:
    """An engine that answers to every name."""

    async def load(self, adapter: LoadedAdapter) -> None:
        """Do nothing."""

    async def unload(self, target: str) -> None:
        """Do nothing."""


class Residency:
    """Claims on contents.

    Args:
        engines: Where they are loaded.
        registry: Knows when a content has answered its last request.
    """

    def __init__(self, engines: AdapterEngines, registry: Registry) -> None:
        self._engines = engines
        self._registry = registry
        self._claims: Counter[str] = Counter()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._retiring: set[asyncio.Task[None]] = set()

    def claim_loaded(self, adapter: LoadedAdapter) -> None:
        """Claim a content that the engine serves from its start."""
        self._claims[adapter.target] += 1

    async def claim(self, adapter: LoadedAdapter) -> None:
        """Claim a content, loading it when nobody has.

        Raises:
            EngineLoadError: The engine does not take it; nothing is claimed then.
            GuardConfigError: The engine's process did not start.
        """
        target = adapter.target
        self._claims[target] += 1
        try:
            async with self._locks[target]:
                await self._engines.load(adapter)
        except BaseException:
            self.release(target)
            raise

    def release(self, target: str) -> None:
        """Give a claim back; the last one lets the content be unloaded once its last request has ended."""
        self._claims[target] -= 1
        if not self._claims[target]:
            del self._claims[target]
            task = asyncio.create_task(self._retire(target))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def is_claimed(self, target: str) -> bool:
        """Whether somebody needs this content."""
        return self._claims[target] > 0

    async def settled(self) -> None:
        """Wait until everything that is to be unloaded has been."""
        while self._retiring:
            await asyncio.gather(*self._retiring)

    async def stop(self) -> None:
        """Wait for nothing more: the engines end as a whole."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)

    async def _retire(self, target: str) -> None:
        await self._registry.idle(target)
        async with self._locks[target]:
            if self.is_claimed(target):
                return
            try:
                await self._engines.unload(target)
                _log.info("adapter_retired", target=target)
            except EngineLoadError as error:
                _log.warning("adapter_not_unloaded", target=target, reason=str(error))
