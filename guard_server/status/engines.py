"""The state of each engine: children of the guard, or vLLMs that run elsewhere."""

from guard_server.engine.child import VllmChild
from guard_server.engine.fleet import Fleet
from guard_server.engine.pool import Member
from guard_server.status.model import EngineState, EngineStatus
from guard_server.status.told import told


def engine_status(fleet: Fleet | None, urls: tuple[str, ...]) -> tuple[EngineStatus, ...]:
    """Return every engine.

    Args:
        fleet: The guard's engines; None where it has none of its own to watch.
        urls: Where the remote ones are, in their order.
    """
    if fleet is None:
        return ()
    if fleet.pool is None:
        return tuple(_child(child) for child in fleet.children)
    pairs = zip(fleet.pool.members, urls, strict=True)
    return tuple(_remote(member, url, fleet.exposures.get(member.name)) for member, url in pairs)


def _child(child: VllmChild) -> EngineStatus:
    served = ", ".join((*child.model.names, *child.model.lora)) or "no adapter yet"
    state = EngineState.UP if child.is_up else EngineState.DOWN
    return EngineStatus(told(served), state, restarts=child.restarts)


def _remote(member: Member, url: str, exposures: list[str] | None) -> EngineStatus:
    return EngineStatus(
        told(url),
        _state(member),
        running=member.running,
        exposures=None if exposures is None else tuple(map(told, exposures)),
    )


def _state(member: Member) -> EngineState:
    if member.is_hung:
        return EngineState.HUNG
    if not member.is_up:
        return EngineState.DOWN
    return EngineState.UP if member.is_right else EngineState.LACKING
