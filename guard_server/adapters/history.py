"""What happened to adapters: typed events, kept in memory and written to the log."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import structlog

_log = structlog.get_logger()
_KEPT = 1_000


class EventKind(StrEnum):
    """What happened."""

    LOADED = "loaded"
    """It is in the engine, has answered, and has passed its gate."""
    REFUSED = "refused"
    """It did not get as far; what was served is served on."""
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    UNHEALTHY = "unhealthy"
    """A live probe broke a limit of its policy."""
    UNLOADED = "unloaded"
    """A staged version, or the one kept for a rollback, was let go."""
    REMOVED = "removed"
    """Its name is gone from the configuration."""


class Actor(StrEnum):
    """Who wanted it."""

    START = "start"
    CONFIG = "config"
    ADMIN = "admin"
    PROBE = "probe"


class AdapterEvent(NamedTuple):
    """One event.

    Attributes:
        at: When, in UTC.
        kind: What happened.
        adapter: The public name.
        version: The first 12 hex digits of the digest, where it is known.
        actor: Who wanted it.
        reason: Why, for a refusal, a rollback or a broken limit.
    """

    at: datetime
    kind: EventKind
    adapter: str
    version: str | None
    actor: Actor
    reason: str | None = None


class History:
    """The last events, the newest last. It begins with the process: state that must last is in the configuration.

    Args:
        clock: Gives the time.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._events: deque[AdapterEvent] = deque(maxlen=_KEPT)
        self._clock = clock

    def record(
        self, kind: EventKind, adapter: str, version: str | None, actor: Actor, reason: str | None = None
    ) -> None:
        """Keep an event and log it."""
        self._events.append(AdapterEvent(self._clock(), kind, adapter, version, actor, reason))
        log = (
            _log.warning
            if kind in {EventKind.REFUSED, EventKind.UNHEALTHY, EventKind.ROLLED_BACK}
            else _log.info
        )
        log(f"adapter_{kind}", adapter=adapter, version=version, actor=actor, reason=reason)

    def of(self, adapter: str | None = None) -> tuple[AdapterEvent, ...]:
        """Return the events of one adapter, or of all."""
        return tuple(event for event in self._events if adapter in {None, event.adapter})
