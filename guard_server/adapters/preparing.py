"""The way of a new version to where it could be promoted: fetched, verified, loaded, warmed up, probed."""

import asyncio
from collections.abc import Awaitable, Callable

from guard_server.adapter import LoadedAdapter, load_adapter, verified_adapter
from guard_server.adapters.gate import Gate
from guard_server.adapters.history import Actor, EventKind, History
from guard_server.adapters.refusal import RefusalReason, VersionRefusedError
from guard_server.adapters.residency import Residency
from guard_server.adapters.slot import Version
from guard_server.errors import EngineLoadError, GuardConfigError, GuardError
from guard_server.metrics import GuardMetrics
from guard_server.settings import AdapterPolicy, AdapterSettings, GuardConfig
from p2p.errors import P2PError

_RETRY_S = 1.0
WarmUp = Callable[[LoadedAdapter], Awaitable[bool]]


class Preparation:
    """Takes versions as far as that, or refuses them; what is served is not touched.

    Args:
        residency: Loads them.
        gate: Judges them.
        warm_up: Asks a version once and says whether the engine answered.
        metrics: Counts refusals.
        history: Is told.
    """

    def __init__(
        self, residency: Residency, gate: Gate, warm_up: WarmUp, metrics: GuardMetrics, history: History
    ) -> None:
        self._residency = residency
        self._gate = gate
        self._warm_up = warm_up
        self._metrics = metrics
        self._history = history

    async def new(self, wanted: AdapterSettings, config: GuardConfig, actor: Actor) -> Version:
        """Return a version that may be promoted; it is claimed.

        Raises:
            VersionRefusedError: It may not; nothing is claimed.
        """
        return await self._refusing(wanted, actor, lambda: load_adapter(wanted, config), wanted.policy)

    async def again(self, version: Version, config: GuardConfig, actor: Actor) -> Version:
        """Return a version that was good before, loaded and verified again; it does not pass its gate once more.

        Raises:
            VersionRefusedError: Its files are not there any more, or others.
        """
        directory, digest = version.adapter.verified.path, version.adapter.verified.digest

        def load() -> LoadedAdapter:
            found = verified_adapter(directory, version.settings, config)
            if found.verified.digest != digest:
                raise VersionRefusedError(
                    version.settings.name,
                    RefusalReason.DIGEST,
                    f"{directory} holds another version by now. With `source` in place of `path` the cache keeps each version.",
                    version.adapter.version,
                )
            return found

        return await self._refusing(version.settings, actor, load, AdapterPolicy())

    async def require_proof(self, adapter: LoadedAdapter, policy: AdapterPolicy) -> None:
        """Check that a loaded version answers, and keeps its policy's limits.

        Raises:
            VersionRefusedError: It does not.
        """
        if not await self._warm_up(adapter):
            raise VersionRefusedError(
                adapter.name, RefusalReason.NO_ANSWER, "the engine does not answer with it", adapter.version
            )
        if faults := await self._gate.faults(adapter, policy):
            raise VersionRefusedError(adapter.name, RefusalReason.GATE, "; ".join(faults), adapter.version)

    async def first_proof(self, version: Version) -> VersionRefusedError | None:
        """Return why a version that is loaded from the start may not be served; waits for an engine that comes late."""
        while True:
            try:
                await self.require_proof(version.adapter, version.settings.policy)
            except VersionRefusedError as refusal:
                if refusal.reason is not RefusalReason.NO_ANSWER:
                    return refusal
                await asyncio.sleep(_RETRY_S)
            except (P2PError, GuardConfigError) as error:
                return VersionRefusedError.because(version.settings.name, error, version.adapter.version)
            else:
                return None

    def refused(self, refusal: VersionRefusedError, actor: Actor) -> None:
        """Count a refusal and tell of it."""
        self._metrics.adapter_refusals.labels(refusal.reason).inc()
        reason = f"{refusal.reason}: {refusal.message}"
        self._history.record(EventKind.REFUSED, refusal.adapter, refusal.version, actor, reason)

    async def _refusing(
        self, wanted: AdapterSettings, actor: Actor, load: Callable[[], LoadedAdapter], policy: AdapterPolicy
    ) -> Version:
        try:
            adapter = await self._loaded(wanted, load, policy)
        except VersionRefusedError as refusal:
            self.refused(refusal, actor)
            raise
        self._history.record(EventKind.LOADED, wanted.name, adapter.version, actor)
        return Version(wanted, adapter)

    async def _loaded(
        self, wanted: AdapterSettings, load: Callable[[], LoadedAdapter], policy: AdapterPolicy
    ) -> LoadedAdapter:
        version: str | None = None
        try:
            adapter = await asyncio.to_thread(load)
            version = adapter.version
            await self._residency.claim(adapter)
            try:
                await self.require_proof(adapter, policy)
            except BaseException:
                self._residency.release(adapter.target)
                raise
        except VersionRefusedError:
            raise
        except (P2PError, GuardConfigError, EngineLoadError, GuardError, OSError) as error:
            raise VersionRefusedError.because(wanted.name, error, version) from error
        except Exception as error:
            # Whatever a new version brings with it (weights that don't fit, a broken file), the guard serves on. Its message may
            # quote anything, and is not told.
            raise VersionRefusedError(
                wanted.name, RefusalReason.FAILED, f"it can't be loaded ({type(error).__name__})", version
            ) from error
        return adapter
