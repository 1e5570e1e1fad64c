"""What the life cycle knows of one public name."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from guard_server.adapter import LoadedAdapter
from guard_server.adapters.registry import Registry
from guard_server.adapters.sources.place import shown
from guard_server.settings import AdapterSettings


class SlotState(StrEnum):
    """How a name stands."""

    PENDING = "pending"
    """Not served yet: it waits for the engine and for its gate."""
    SERVING = "serving"
    REFUSED = "refused"
    """Its first version failed, and there is none before it: the name answers 503."""


@dataclass
class Slot:
    """One public name.

    Attributes:
        settings: What the configuration says of it.
        live: The version that requests get.
        staged: A version that is loaded and has passed its gate, and waits to be promoted.
        previous: The last good version before the live one, for a rollback.
        is_standby: Whether the previous version is loaded still.
        state: How it stands.
        is_healthy: Whether the live version has broken no limit of a live probe.
        lock: Held by whoever changes it.
    """

    settings: AdapterSettings
    live: LoadedAdapter
    staged: LoadedAdapter | None = None
    previous: LoadedAdapter | None = None
    is_standby: bool = False
    state: SlotState = SlotState.PENDING
    is_healthy: bool = True
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """The configuration of a version is the one that it was loaded with."""
        self.settings_before: AdapterSettings | None = None

    def as_json(self, registry: Registry) -> dict[str, Any]:
        """Return what an operator may see: no secret, no path."""

        def version(adapter: LoadedAdapter | None) -> str | None:
            return adapter.version if adapter else None

        return {
            "name": self.settings.name,
            "aliases": list(self.settings.aliases),
            "state": self.state,
            "healthy": self.is_healthy,
            "version": version(self.live) if self.state is SlotState.SERVING else None,
            "staged": version(self.staged),
            "previous": version(self.previous),
            "standby": self.is_standby,
            "source": shown(self.settings.source or str(self.settings.path)),
            "in_flight": registry.in_flight(self.live.target),
        }
