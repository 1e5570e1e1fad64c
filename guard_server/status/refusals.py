"""What was not served lately, or was taken back: of adapters and of the configuration file, the newest first."""

from collections.abc import Iterable

from guard_server.adapters.history import AdapterEvent, EventKind
from guard_server.adapters.refusal import RefusalReason
from guard_server.adapters.reloading import RefusedEdit
from guard_server.status.model import Refusal
from guard_server.status.told import told

SHOWN = 20
_KINDS = {
    EventKind.REFUSED: "version refused",
    EventKind.UNHEALTHY: "limit broken",
    EventKind.ROLLED_BACK: "rolled back",
}


def last_refusals(events: Iterable[AdapterEvent], edits: Iterable[RefusedEdit]) -> tuple[Refusal, ...]:
    """Return the last ``SHOWN`` of them.

    Args:
        events: What happened to adapters.
        edits: Edits of the configuration that were not served.
    """
    found = [_of_adapter(event) for event in events if event.kind in _KINDS]
    found += [
        Refusal(edit.at, "edit refused", "guard.yaml", None, "config", told(edit.message)) for edit in edits
    ]
    return tuple(sorted(found, key=lambda refusal: refusal.at, reverse=True)[:SHOWN])


def _of_adapter(event: AdapterEvent) -> Refusal:
    reason = event.reason or ""
    failed_gate = event.kind is EventKind.REFUSED and reason.startswith(f"{RefusalReason.GATE}: ")
    what = "gate failed" if failed_gate else _KINDS[event.kind]
    return Refusal(event.at, what, told(event.adapter), event.version, event.actor, told(reason))
