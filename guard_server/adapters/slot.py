"""What the life cycle knows of one public name."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

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


class Version(NamedTuple):
    """A verified adapter, and the settings that it was loaded with."""

    settings: AdapterSettings
    adapter: LoadedAdapter


@dataclass
class Slot:
    """One public name.

    Attributes:
        wanted: What the configuration says of it now.
        live: The version that requests get.
        state: How it stands.
        staged: A version that is loaded and has passed its gate, and waits to be promoted.
        previous: The last good version before the live one, for a rollback.
        is_standby: Whether the previous version is loaded still.
        is_healthy: Whether the live version has broken no limit of a live probe.
    """

    wanted: AdapterSettings
    live: Version
    state: SlotState = SlotState.SERVING
    staged: Version | None = None
    previous: Version | None = None
    is_standby: bool = False
    is_healthy: bool = True

    def as_json(self, registry: Registry) -> dict[str, Any]:
        """Return what an operator may see: no secret."""
        return {
            "name": self.wanted.name,
            "aliases": list(self.wanted.aliases),
            "state": self.state,
            "healthy": self.is_healthy,
            "version": self.live.adapter.version if self.state is SlotState.SERVING else None,
            "staged": self.staged.adapter.version if self.staged else None,
            "previous": self.previous.adapter.version if self.previous else None,
            "standby": self.is_standby,
            "source": shown(self.live.settings.source or str(self.live.settings.path)),
            "in_flight": registry.in_flight(self.live.adapter.target),
        }
