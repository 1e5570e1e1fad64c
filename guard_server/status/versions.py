"""The versions of each adapter, and what is known of their signatures."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from guard_server.adapter import LoadedAdapter
from guard_server.adapters.registry import Registry
from guard_server.adapters.slot import Slot, SlotState, Version
from guard_server.settings import AdapterPolicy
from guard_server.status.model import Signature, VersionState, VersionStatus
from p2p.manifest import SIGNATURE_NAME

LIVE_STATES = {
    SlotState.SERVING: VersionState.LIVE,
    SlotState.PENDING: VersionState.PENDING,
    SlotState.REFUSED: VersionState.REFUSED,
}


class KnownVersion(NamedTuple):
    """A version of which the engine's side is known; its signature's file is not looked for yet.

    Attributes:
        adapter: The verified adapter.
        state: How it stands.
        in_flight: How many requests it is answering.
        policy: What it was loaded under; None for one that drains, of which that is forgotten.
    """

    adapter: LoadedAdapter
    state: VersionState
    in_flight: int
    policy: AdapterPolicy | None


def known_versions(slot: Slot, registry: Registry, draining: Iterable[LoadedAdapter]) -> list[KnownVersion]:
    """Return the versions of a name, the live one first.

    Args:
        slot: The name.
        registry: Counts their requests.
        draining: Versions of this name that are claimed no more and answer their last requests.
    """
    before = VersionState.STANDBY if slot.is_standby else VersionState.PREVIOUS
    held = [(slot.live, LIVE_STATES[slot.state]), (slot.staged, VersionState.STAGED), (slot.previous, before)]
    found = [_known(version, state, registry) for version, state in held if version]
    # A version that is no more loaded and still answers: it drains, and a rollback may come back to it.
    leaving = {adapter.target for adapter in draining}
    found = [
        one._replace(state=VersionState.DRAINING)
        if one.state is VersionState.PREVIOUS and one.adapter.target in leaving
        else one
        for one in found
    ]
    shown = {one.adapter.target for one in found}
    return found + [
        KnownVersion(adapter, VersionState.DRAINING, registry.in_flight(adapter.target), None)
        for adapter in draining
        if adapter.target not in shown
    ]


def draining_versions(slots: Sequence[Slot], registry: Registry) -> dict[str, list[LoadedAdapter]]:
    """Return by name the versions that answer requests and that no name needs any more."""
    needed = {version.adapter.target for slot in slots for version in _loaded(slot)}
    found: dict[str, list[LoadedAdapter]] = {}
    for adapter in registry.busy():
        if adapter.target not in needed:
            found.setdefault(adapter.name, []).append(adapter)
    return found


def with_signature(known: KnownVersion) -> VersionStatus:
    """Look for the signature's file. It takes time: not for the event loop."""
    return VersionStatus(known.adapter.version, known.state, known.in_flight, _signature(known))


def _signature(known: KnownVersion) -> Signature | None:
    if known.policy is None:
        return None
    if known.policy.require_signature:
        # Else it would not have been loaded.
        return Signature.VERIFIED
    directory = known.adapter.verified.path
    if not directory.is_dir():
        return None
    return Signature.NOT_ASKED if (directory / SIGNATURE_NAME).is_file() else Signature.MISSING


def _known(version: Version, state: VersionState, registry: Registry) -> KnownVersion:
    in_flight = registry.in_flight(version.adapter.target)
    return KnownVersion(version.adapter, state, in_flight, version.settings.policy)


def _loaded(slot: Slot) -> list[Version]:
    kept = slot.previous if slot.is_standby else None
    return [version for version in (slot.live, slot.staged, kept) if version]
