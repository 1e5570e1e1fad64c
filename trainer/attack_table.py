"""The attacks as a person sees them: one row each, from what their classes say of themselves."""

from collections.abc import Iterable

from pydantic.fields import FieldInfo
from rich.markup import escape
from rich.table import Column, Table

from p2p.attacks.base import Attack, AttackedTask

_TASKS = {
    AttackedTask.CLASSIFICATION: "labels",
    AttackedTask.GENERATION: "free text",
    AttackedTask.ANY: "labels or free text",
}


def attack_table(attacks: Iterable[type[Attack]]) -> Table:
    """Return name, effect (with task, labelling and source) and parameters of attacks.

    Args:
        attacks: Their classes, in the order of the rows.
    """
    table = Table(
        Column("attack", no_wrap=True),
        "what it does",
        # Folded, not cut: a parameter's value is there to be copied.
        Column("parameters", overflow="fold"),
        show_lines=True,
    )
    for attack in attacks:
        about = f"{attack.summary}\n{_TASKS[attack.task]}; {attack.labelling} label\n{attack.source}"
        parameters = "\n".join(_parameter(name, field) for name, field in attack.model_fields.items())
        table.add_row(attack.name, escape(about), escape(parameters))
    return table


def _parameter(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return f"{name} (required)"
    default = field.get_default()
    return f"{name}={str(default)!r}" if isinstance(default, str) else f"{name}={default}"
