"""guard.yaml, watched: a good edit is served, a bad one is refused and what is served stays.

Kubernetes swaps a symbolic link in the directory of a mounted ConfigMap and never touches the file itself. So the directory is
watched, the content is what counts, and it is looked at from time to time even when nobody tells of a change.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import structlog
from watchfiles import awatch

from guard_server.adapters.lifecycle import Lifecycle
from guard_server.adapters.refusal import VersionRefusedError
from guard_server.errors import GuardConfigError
from guard_server.metrics import GuardMetrics
from guard_server.settings import GuardConfig, load_config

_log = structlog.get_logger()
_LOOK_EVERY_MS = 10_000
_DEBOUNCE_MS = 200
_RELOADED = {"adapters"}
_KEPT_EDITS = 20


class ReloadResult(StrEnum):
    """What became of an edit."""

    APPLIED = "applied"
    REFUSED = "refused"


class ReloadStatus(NamedTuple):
    """The last edit's fate, as anybody may see it.

    Attributes:
        ok: Whether the file, as it is, is what is served.
        reason: Why not, as one of a few fixed words.
        needs_restart: Settings that were changed and wait for a restart.
    """

    ok: bool = True
    reason: str | None = None
    needs_restart: tuple[str, ...] = ()


class RefusedEdit(NamedTuple):
    """An edit that is not served.

    Attributes:
        at: When it was read, in UTC.
        message: What is wrong; for operators, it may name paths.
    """

    at: datetime
    message: str


class ConfigReloader:
    """Follows the configuration file.

    Args:
        path: The file.
        running: What was made of it at the start.
        adjust: What the command line puts over it.
        lifecycle: Serves what it says.
        metrics: Count reloads.

    Attributes:
        status: The last edit's fate.
        refused: The last edits that are not served, the newest last.
    """

    def __init__(
        self,
        path: Path,
        running: GuardConfig,
        adjust: Callable[[GuardConfig], GuardConfig],
        lifecycle: Lifecycle,
        metrics: GuardMetrics,
    ) -> None:
        self.status = ReloadStatus()
        self.refused: deque[RefusedEdit] = deque(maxlen=_KEPT_EDITS)
        self._path = path
        self._running = running
        self._adjust = adjust
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._seen = self._fingerprint()

    def details(self) -> dict[str, object]:
        """Return the last edit's fate for the health routes."""
        return self.status._asdict()

    async def watch(self) -> None:
        """Apply every change of the file until cancelled."""
        # Made before the first event can be missed: what changed since the start is seen by its content.
        async for _ in awatch(
            self._path.parent,
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            rust_timeout=_LOOK_EVERY_MS,
            yield_on_timeout=True,
            recursive=False,
        ):
            if (now := self._fingerprint()) != self._seen:
                self._seen = now
                await self.reload()

    async def reload(self) -> ReloadStatus:
        """Read the file and serve what it says, or keep what is served."""
        try:
            wanted = self._adjust(load_config(self._path))
            waiting = _changed(self._running, wanted)
            if waiting:
                _log.warning("config_needs_restart", settings=waiting)
            effective = self._running.model_copy(update={"adapters": wanted.adapters})
            await self._lifecycle.apply(effective)
        except GuardConfigError as error:
            return self._ended(ReloadStatus(ok=False, reason="config"), message=str(error))
        except VersionRefusedError as refusal:
            return self._ended(ReloadStatus(ok=False, reason=refusal.reason), message=refusal.message)
        self._running = effective
        return self._ended(ReloadStatus(needs_restart=waiting), message=None)

    def _ended(self, status: ReloadStatus, message: str | None) -> ReloadStatus:
        self.status = status
        result = ReloadResult.APPLIED if status.ok else ReloadResult.REFUSED
        self._metrics.config_reloads.labels(result).inc()
        self._metrics.config_reload_success.set(status.ok)
        if status.ok:
            _log.info("config_reloaded", adapters=[one.name for one in self._running.adapters])
        else:
            self.refused.append(RefusedEdit(datetime.now(UTC), f"{status.reason}: {message}"))
            _log.error("config_refused", reason=status.reason, message=message, served="as before")
        return status

    def _fingerprint(self) -> str | None:
        try:
            return hashlib.sha256(self._path.read_bytes()).hexdigest()
        except OSError:
            return None


def _changed(running: GuardConfig, wanted: GuardConfig) -> tuple[str, ...]:
    """Return the names of the settings that differ and can't change in a running guard."""
    names = sorted(GuardConfig.model_fields.keys() - _RELOADED)
    return tuple(name for name in names if getattr(running, name) != getattr(wanted, name))
