"""Engines that run already: a pool of them, each given the adapters that it lacks, each looked at for open doors."""

import asyncio
import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import structlog

from guard_server.engine.channel import Channel
from guard_server.engine.exposure import find_exposure
from guard_server.engine.lora_routes import LoraRoutes
from guard_server.engine.pool import EnginePool, Member
from guard_server.errors import EngineLoadError, EngineUnavailableError, GuardConfigError
from guard_server.settings import EngineSettings

_log = structlog.get_logger()
_AGAIN_S = 5.0
_KEEP_LOADED_S = 10.0


class RemoteEngines:
    """Every engine of the configuration, serving the same adapters.

    Args:
        settings: Where they are.
        adapters: Directories by content name that each is to serve from the start.

    Attributes:
        pool: Asks one of them.
        exposures: What was found wrong with their doors, by engine; shown as a metric.

    Raises:
        GuardConfigError: The key is not set, or the certificates can't be read.
    """

    def __init__(self, settings: EngineSettings, adapters: Mapping[str, Path]) -> None:
        self._adapters = dict(adapters)
        # A copy: what is added while the engines are asked is not held against them.
        self.pool = EnginePool(_members(settings), lambda: frozenset(self._adapters), settings.hang_s)
        self.exposures: dict[str, list[str]] = {}
        self._watching: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to watch all of them; waits for none."""
        self._watching = [asyncio.create_task(self.pool.watch())]
        for member in self.pool.members:
            self._watching.append(asyncio.create_task(self._warn_of(member)))
            self._watching.append(asyncio.create_task(self._keep_loaded(member)))

    async def stop(self) -> None:
        """Close every connection; the engines run on."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        for member in self.pool.members:
            await member.channel.cut()

    async def load(self, target: str, directory: Path) -> None:
        """Make every engine that requests may go to answer to a content name; the others get it when they come back.

        Raises:
            EngineLoadError: One of them does not take it, or none can be reached.
        """
        usable = [member for member in self.pool.members if member.is_usable]
        asked = usable or self.pool.members
        results = await asyncio.gather(
            *(LoraRoutes(member.channel).load(target, directory) for member in asked), return_exceptions=True
        )
        for member, result in zip(asked, results, strict=True):
            if isinstance(result, EngineLoadError):
                raise EngineLoadError(f"engine {member.name}: {result}") from result
            if result is not None:
                raise result
        self._adapters[target] = directory

    def forget(self, target: str) -> None:
        """Ask for a content name no more. The engines keep it: other guards may use it, and vLLM drops what is not asked."""
        self._adapters.pop(target, None)

    async def _keep_loaded(self, member: Member) -> None:
        """Give an engine what it lacks: one that comes late or starts again knows nothing of what was loaded."""
        routes = LoraRoutes(member.channel)
        while True:
            try:
                known = await routes.names()
                for target, directory in list(self._adapters.items()):
                    if target not in known:
                        await routes.load(target, directory)
            except EngineLoadError as error:
                _log.warning("engine_lacks_adapters", engine=member.name, reason=str(error))
            await asyncio.sleep(_KEEP_LOADED_S)

    async def _warn_of(self, member: Member) -> None:
        """Look at an engine's doors once it answers."""
        while member.name not in self.exposures:
            try:
                self.exposures[member.name] = await find_exposure(member.channel)
            except EngineUnavailableError:
                await asyncio.sleep(_AGAIN_S)
        if found := self.exposures[member.name]:
            _log.warning("THE_ENGINE_CAN_BE_REACHED_PAST_THE_GUARD", engine=member.name, faults=found)


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
