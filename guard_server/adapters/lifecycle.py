r"""The life cycle of adapters: a new version beside the old one, proven, then one switch; the old one ends with its last request.

    wanted -> loaded -> staged -> live -> (previous) -> retired
                 \-> refused: the live one is served on

Everything that takes time happens before the switch, on versions that no client can reach. The switch itself, :meth:`_promote`
and :meth:`_commit`, has no await in it: a request sees the state before or after, never one between.
"""

import asyncio
from collections.abc import Mapping

from guard_server.adapter import LoadedAdapter
from guard_server.adapters.history import Actor, EventKind, History
from guard_server.adapters.preparing import Preparation
from guard_server.adapters.refusal import VersionRefusedError
from guard_server.adapters.registry import Registry
from guard_server.adapters.residency import Residency
from guard_server.adapters.slot import Slot, SlotState, Version
from guard_server.errors import ConflictError, ModelNotFoundError
from guard_server.metrics import GuardMetrics
from guard_server.settings import GuardConfig


class Lifecycle:
    """All adapters of a guard, and what may be done to them.

    Args:
        config: What is served from the start.
        registry: The names that requests pick from.
        residency: What is in the engine.
        preparation: Makes new versions ready.
        metrics: Counts.
        history: What happened, for operators.
    """

    def __init__(
        self,
        config: GuardConfig,
        registry: Registry,
        residency: Residency,
        preparation: Preparation,
        metrics: GuardMetrics,
        history: History,
    ) -> None:
        self.history = history
        self._config = config
        self._registry = registry
        self._residency = residency
        self._preparation = preparation
        self._metrics = metrics
        # One change at a time; a rollback does not wait for it, and looks again at what it finds when it is ready.
        self._changing = asyncio.Lock()
        self._slots: dict[str, Slot] = {}
        for wanted in config.adapters:
            adapter = registry[wanted.name]
            state = SlotState.PENDING if registry.is_withheld(wanted.name) else SlotState.SERVING
            self._slots[wanted.name] = Slot(wanted, Version(wanted, adapter), state)
            residency.claim_loaded(adapter)
            metrics.show_version(wanted.name, adapter.version if state is SlotState.SERVING else None)

    @property
    def slots(self) -> Mapping[str, Slot]:
        """All public names, without their aliases."""
        return self._slots

    def slot(self, name: str) -> Slot:
        """Return what is known of a name.

        Raises:
            ModelNotFoundError: The configuration has none of this name.
        """
        if name not in self._slots:
            raise ModelNotFoundError("guard.yaml has no adapter of this name", "name")
        return self._slots[name]

    def listed(self) -> list[dict[str, object]]:
        """Return all names as an operator may see them."""
        return [slot.as_json(self._registry) for slot in self._slots.values()]

    async def start(self) -> None:
        """Let the adapters with a gate through it; those that fail answer 503 until there is a better version."""
        for slot in list(self._slots.values()):
            if slot.state is SlotState.PENDING:
                await self._admit(slot)

    async def stop(self) -> None:
        """Wait for nothing more."""
        await self._residency.stop()

    async def load(self, name: str, actor: Actor, source: str | None = None) -> Version:
        """Load the newest version of an adapter's source, or of another one, beside the live one, and stage it.

        Raises:
            ModelNotFoundError: There is no such name.
            VersionRefusedError: It is not good enough; the live one is served on.
        """
        async with self._changing:
            slot = self.slot(name)
            wanted = slot.wanted
            if source:
                wanted = wanted.model_copy(update={"source": source, "path": None})
            version = await self._preparation.new(wanted, self._config, actor)
            self._drop_staged(slot)
            slot.staged = version
            return version

    async def promote(self, name: str, actor: Actor) -> Version:
        """Let the staged version take over: when this returns, no new request gets the old one.

        Raises:
            ModelNotFoundError: There is no such name.
            ConflictError: Nothing is staged.
        """
        async with self._changing:
            slot = self.slot(name)
            if slot.staged is None:
                raise ConflictError("no version is staged: load one first")
            version, slot.staged = slot.staged, None
            self._promote(slot, version, actor)
            return version

    async def rollback(self, name: str, actor: Actor, reason: str) -> Version:
        """Go back to the last good version: when this returns, no new request gets the bad one.

        Raises:
            ModelNotFoundError: There is no such name.
            ConflictError: There is no version before, or another change came first.
            VersionRefusedError: The version before can't be loaded again.
        """
        slot = self.slot(name)
        bad, good = slot.live, slot.previous
        if good is None:
            raise ConflictError("there is no version before this one")
        if not slot.is_standby:
            good = await self._preparation.again(good, self._config, actor)
        if slot.live is not bad or self._slots.get(name) is not slot:
            if not slot.is_standby:
                self._residency.release(good.adapter.target)
            raise ConflictError("another change came first; look again")
        slot.previous, slot.is_standby = None, False
        self._switch(slot, good)
        self._residency.release(bad.adapter.target)
        self._metrics.adapter_rollbacks.labels(name).inc()
        self.history.record(EventKind.ROLLED_BACK, name, good.adapter.version, actor, reason)
        return good

    async def unload(self, name: str, actor: Actor) -> list[str]:
        """Let go of what is loaded beside the live version, and return the versions.

        Raises:
            ModelNotFoundError: There is no such name.
            ConflictError: Nothing is.
        """
        async with self._changing:
            slot = self.slot(name)
            found = [slot.staged] if slot.staged else []
            self._drop_staged(slot)
            if slot.is_standby and slot.previous:
                found.append(slot.previous)
                self._drop_standby(slot)
            if not found:
                raise ConflictError(
                    "nothing is loaded beside the live version; a live one ends with its entry in guard.yaml"
                )
            versions = [version.adapter.version for version in found]
            self.history.record(EventKind.UNLOADED, name, ", ".join(versions), actor)
            return versions

    async def apply(self, config: GuardConfig, actor: Actor = Actor.CONFIG) -> None:
        """Serve what a new configuration says, all of it or nothing.

        Every new version is loaded beside the old ones first: on CPU, merged, that takes the memory of all of them at once.

        Raises:
            VersionRefusedError: A version is not good enough; everything is served on as it was.
        """
        async with self._changing:
            prepared: dict[str, Version] = {}
            try:
                for wanted in config.adapters:
                    slot = self._slots.get(wanted.name)
                    if slot is None or slot.wanted != wanted:
                        prepared[wanted.name] = await self._preparation.new(wanted, config, actor)
            except BaseException:
                for version in prepared.values():
                    self._residency.release(version.adapter.target)
                raise
            self._commit(config, prepared, actor)

    async def live_probe(self, name: str, adapter: LoadedAdapter, faults: list[str]) -> None:
        """Take note of a probe of a live version, and roll back when it broke a limit and its policy says so.

        Args:
            name: The public name.
            adapter: The version that was probed; a verdict on one that is live no more is not heeded.
            faults: The broken limits; none when it is healthy.
        """
        slot = self._slots.get(name)
        if slot is None or slot.live.adapter.target != adapter.target or slot.state is not SlotState.SERVING:
            return
        was_healthy, slot.is_healthy = slot.is_healthy, not faults
        if was_healthy and faults:
            self.history.record(EventKind.UNHEALTHY, name, adapter.version, Actor.PROBE, "; ".join(faults))
        if faults and slot.live.settings.policy.rollback and slot.previous:
            try:
                await self.rollback(name, Actor.PROBE, "; ".join(faults))
            except (ConflictError, VersionRefusedError):
                # Told by whoever refused; the version stays marked as unhealthy.
                return

    async def _admit(self, slot: Slot) -> None:
        version = slot.live
        refusal = await self._preparation.first_proof(version)
        if slot.live is not version or self._slots.get(slot.wanted.name) is not slot:
            # Another configuration came first.
            return
        if refusal:
            self._preparation.refused(refusal, Actor.START)
            slot.state = SlotState.REFUSED
            return
        self._switch(slot, version)
        self.history.record(EventKind.PROMOTED, slot.wanted.name, version.adapter.version, Actor.START)

    def _commit(self, config: GuardConfig, prepared: Mapping[str, Version], actor: Actor) -> None:
        self._config = config
        gone = [
            slot for name, slot in self._slots.items() if name not in {one.name for one in config.adapters}
        ]
        # Names go first: an alias may move from one adapter to another.
        before = [slot for name, slot in self._slots.items() if name in prepared] + gone
        names: dict[str, LoadedAdapter | None] = {name: None for slot in before for name in slot.wanted.names}
        for version in prepared.values():
            names |= dict.fromkeys(version.settings.names, version.adapter)
        self._registry.switch(names)
        for slot in gone:
            self._forget(slot, actor)
        for name, version in prepared.items():
            if name in self._slots:
                slot = self._slots[name]
                slot.wanted = version.settings
                self._drop_staged(slot)
                self._promote(slot, version, actor)
            else:
                self._slots[name] = Slot(version.settings, version)
                self._shown(self._slots[name], actor)
        self._slots = {wanted.name: self._slots[wanted.name] for wanted in config.adapters}

    def _promote(self, slot: Slot, version: Version, actor: Actor) -> None:
        before, was_serving = slot.live, slot.state is SlotState.SERVING
        self._switch(slot, version)
        self._shown(slot, actor)
        if not was_serving or before.adapter.target == version.adapter.target:
            # Nothing to go back to, or the same content under other settings.
            self._residency.release(before.adapter.target)
            return
        self._drop_standby(slot)
        slot.previous = before
        slot.is_standby = version.settings.policy.standby
        if not slot.is_standby:
            self._residency.release(before.adapter.target)

    def _switch(self, slot: Slot, version: Version) -> None:
        # By what the configuration says now: an alias of an earlier version may be another adapter's by this time.
        self._registry.switch(dict.fromkeys(slot.wanted.names, version.adapter))
        slot.live, slot.state, slot.is_healthy = version, SlotState.SERVING, True
        self._metrics.show_version(slot.wanted.name, version.adapter.version)

    def _shown(self, slot: Slot, actor: Actor) -> None:
        name, version = slot.wanted.name, slot.live.adapter.version
        self._metrics.show_version(name, version)
        self._metrics.adapter_switches.labels(name).inc()
        self.history.record(EventKind.PROMOTED, name, version, actor)

    def _forget(self, slot: Slot, actor: Actor) -> None:
        self._drop_staged(slot)
        self._drop_standby(slot)
        self._residency.release(slot.live.adapter.target)
        self._metrics.show_version(slot.wanted.name, None)
        self.history.record(EventKind.REMOVED, slot.wanted.name, slot.live.adapter.version, actor)

    def _drop_staged(self, slot: Slot) -> None:
        if slot.staged:
            self._residency.release(slot.staged.adapter.target)
            slot.staged = None

    def _drop_standby(self, slot: Slot) -> None:
        if slot.is_standby and slot.previous:
            self._residency.release(slot.previous.adapter.target)
        slot.is_standby = False
