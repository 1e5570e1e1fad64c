"""What the status page tells: plain values without a secret, ready to be shown."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from guard_server.probes.result import Verdict
from guard_server.probes.trend import Direction
from guard_server.status.sparkline import Sparkline
from p2p.metrics.rate import Rate


class VersionState(StrEnum):
    """How a version stands."""

    LIVE = "live"
    """It answers new requests."""
    PENDING = "pending"
    """It waits for the engine and for its gate."""
    REFUSED = "refused"
    """It is the first of its name and failed its gate: the name answers 503."""
    STAGED = "staged"
    """It is loaded, has passed its gate, and waits to be promoted."""
    STANDBY = "standby"
    """It was live before and is loaded still: a rollback to it is at once."""
    PREVIOUS = "previous"
    """It was live before and is loaded no more: a rollback loads it again."""
    DRAINING = "draining"
    """It gets no new request and answers its last ones."""


class Signature(StrEnum):
    """What is known of a version's OpenSSF model signature."""

    VERIFIED = "verified"
    """The policy asks for one, and it held when the version was loaded."""
    NOT_ASKED = "not asked"
    """There is one, and no policy asks for it: nobody has checked it."""
    MISSING = "missing"
    """There is none, and no policy asks for one."""


class VersionStatus(NamedTuple):
    """One version of an adapter.

    Attributes:
        version: The first 12 hex digits of its digest.
        state: How it stands.
        in_flight: How many requests it is answering.
        signature: None where its files are not at hand any more.
    """

    version: str
    state: VersionState
    in_flight: int
    signature: Signature | None = None


class Series(NamedTuple):
    """One figure over the last probe runs.

    Attributes:
        name: ASR's attack family, or clean accuracy.
        latest: Its value in the last run that measured it.
        limit: The canary file's limit, where there is one.
        is_broken: Whether the last value is beyond the limit; the verdict of the run weighs the number of cases, too.
        direction: Where it goes.
        runs: How many runs measured it.
        drawn: Its line.
        floor: The attacker's answers without the trigger, for an attack.
    """

    name: str
    latest: Rate
    limit: float | None
    is_broken: bool
    direction: Direction
    runs: int
    drawn: Sparkline
    floor: Rate | None = None


class ProbeStatus(NamedTuple):
    """What the guard's own probes found of an adapter.

    Attributes:
        last: When the last run began; None before the first.
        verdict: Its verdict.
        versions: The versions that answered it.
        interval_s: Seconds between the beginnings of runs.
        runs: How many runs are looked at.
        is_stale: Whether no run came to a verdict for three intervals, as the alert says it.
        attacks: ASR by family.
        clean_accuracy: CA; None before it was measured.
    """

    last: datetime | None
    verdict: Verdict | None
    versions: tuple[str, ...]
    interval_s: float
    runs: int
    is_stale: bool
    attacks: tuple[Series, ...]
    clean_accuracy: Series | None


class ViewsStatus(NamedTuple):
    """The two-view audit since the start.

    Attributes:
        disagreements: Comparisons whose two answers differ, of all that were made.
        dropped: Comparisons that were chosen and not made.
    """

    disagreements: Rate
    dropped: int


class AdapterStatus(NamedTuple):
    """One public name.

    Attributes:
        name: What clients call it.
        aliases: Its other names.
        state: Its live version's state.
        is_healthy: Whether that version has broken no limit of a live probe.
        is_unguarded: Whether it is served without the defence.
        source: Where it comes from, without credentials.
        versions: All that are known, the live one first.
        probes: None where the guard does not probe it.
        views: The two-view audit of it.
    """

    name: str
    aliases: tuple[str, ...]
    state: VersionState
    is_healthy: bool
    is_unguarded: bool
    source: str
    versions: tuple[VersionStatus, ...]
    probes: ProbeStatus | None
    views: ViewsStatus

    @property
    def is_fine(self) -> bool:
        """Whether there is nothing to look at."""
        serves = self.state is VersionState.LIVE and self.is_healthy and not self.is_unguarded
        probes = self.probes
        return serves and not (probes and (probes.is_stale or probes.verdict is Verdict.FAILED))


class EngineState(StrEnum):
    """How an engine stands."""

    UP = "up"
    DOWN = "down"
    HUNG = "hung"
    """It takes connections and says nothing."""
    LACKING = "lacks adapters"
    """It answers and does not serve every adapter."""


class EngineStatus(NamedTuple):
    """One engine.

    Attributes:
        name: A child by what it serves, a remote one by its URL.
        state: How it stands.
        restarts: How often a child was started again; None for a remote one.
        running: How many requests a remote one is answering; None for a child.
        exposures: Ways found to reach a remote one past the guard; None where nobody has looked.
    """

    name: str
    state: EngineState
    restarts: int | None = None
    running: int | None = None
    exposures: tuple[str, ...] | None = None


class Refusal(NamedTuple):
    """Something that was not served, or was taken back.

    Attributes:
        at: When, in UTC.
        what: In a few words.
        subject: The adapter, or the configuration file.
        version: The version, where it is known.
        actor: Who wanted it.
        reason: Why.
    """

    at: datetime
    what: str
    subject: str
    version: str | None
    actor: str
    reason: str


class GuardState(NamedTuple):
    """The guard as a whole.

    Attributes:
        is_ready: Whether traffic is welcome.
        said: Why, or why not.
        started: When this process began to serve.
        version: Of p2p-guard.
        config_refusal: Why the last edit of the configuration is not served; None when it is.
        needs_restart: Settings that were edited and wait for a restart.
        audit: What the two-view audit does.
    """

    is_ready: bool
    said: str
    started: datetime
    version: str
    config_refusal: str | None
    needs_restart: tuple[str, ...]
    audit: str


class StatusPage(NamedTuple):
    """All of it, at one moment.

    Attributes:
        at: When.
        guard: The guard as a whole.
        adapters: The first of them, those that need a look before the others.
        left_out: How many adapters are not shown.
        views: The two-view audit of all adapters together.
        engines: Every engine.
        refusals: The last ones, the newest first.
        history_is_read: Whether probe runs come from the history file; None when there is none.
    """

    at: datetime
    guard: GuardState
    adapters: tuple[AdapterStatus, ...]
    left_out: int
    views: ViewsStatus
    engines: tuple[EngineStatus, ...]
    refusals: tuple[Refusal, ...]
    history_is_read: bool | None
