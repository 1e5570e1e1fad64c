"""The attacks as a person sees them: one row each, from what their classes say of themselves."""

from collections.abc import Iterable

from pydantic.fields import FieldInfo
from rich.markup import escape
from rich.table import Table

from p2p.attacks.base import Attack, AttackedTask

_TASKS = {
    AttackedTask.CLASSIFICATION: "labels",
    AttackedTask.GENERATION: "free text",
    AttackedTask.ANY: "labels or free text",
}


def attack_table(attacks: Iterable[type[Attack]]) -> Table:
    """Return name, effect, task, labelling, parameters and source of attacks.

    Args:
        attacks: Their classes, in the order of the rows.
    """
    table = Table("attack", "what it does", "kind", "parameters", "source", show_lines=True)
    for attack in attacks:
        kind = f"{_TASKS[attack.task]}; {attack.labelling} label"
        parameters = "\n".join(_parameter(name, field) for name, field in attack.model_fields.items())
        table.add_row(attack.name, escape(attack.summary), kind, escape(parameters), attack.source)
    return table


def _parameter(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return f"{name} (required)"
    default = field.get_default()
    return f"{name}={default!r}" if default is None or isinstance(default, str) else f"{name}={default}"
