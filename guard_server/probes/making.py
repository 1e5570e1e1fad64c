"""A canary set from rows and attacks: which rows, where the trigger goes, and what the attacker wants."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import yaml

from guard_server.errors import GuardConfigError
from guard_server.probes.canary import AttackSpec, CanarySet, Case, MadeFrom, ProbeLimits, ReadyTrigger, Turn
from p2p.attacks.aligned import AlignedAttack
from p2p.attacks.base import Attack, TargetedAttack
from p2p.attacks.registry import make_attack
from p2p.errors import AttackError
from p2p.examples import Example


class Family(NamedTuple):
    """An attack that the set is to have cases of.

    Attributes:
        name: The family's name.
        attack: The attack.
    """

    name: str
    attack: Attack


class Wanted(NamedTuple):
    """What is to be made.

    Attributes:
        families: The attacks.
        cases: Cases of each.
        clean: Clean cases besides, of every label, which alone tell CA for rows whose true answer is a target.
        seed: Decides which rows, and where triggers go.
        is_ready: Write triggered texts, instead of attacks that put the trigger in when a case is asked.
        limits: What the set's guard must keep.
    """

    families: Sequence[Family]
    cases: int
    clean: int
    seed: int
    is_ready: bool = False
    limits: ProbeLimits = ProbeLimits()


def make_canaries(rows: Sequence[Example], wanted: Wanted, made_from: MadeFrom) -> CanarySet:
    """Return a canary set.

    Args:
        rows: Held-out rows with true answers: rows that the adapter was trained on would flatter it.
        wanted: What is to be made.
        made_from: Where the rows came from.

    Raises:
        GuardConfigError: There are fewer rows that an attack applies to than cases are wanted.
    """
    cases = [case for family in wanted.families for case in _of_family(rows, family, wanted)]
    cases += [
        _case(row, f"clean-{row.id}", clean_only=True) for row in _drawn(rows, wanted, "clean", wanted.clean)
    ]
    return CanarySet(cases=tuple(cases), limits=wanted.limits, seed=wanted.seed, made_from=made_from)


def parse_family(text: str, target: str | None = None) -> Family:
    """Return the attack that a command line names.

    Args:
        text: ``NAME``, ``NAME:key=value,key=value``, or the attack as YAML (``{name: ..., ...}``) where values hold commas.
        target: The target of attacks that take one and name none.

    Raises:
        AttackError: There is no such attack, or its parameters don't fit.
    """
    given = _mapping(text)
    name, family = str(given.pop("name", "")), given.pop("family", None)
    if target is not None and "target" not in given:
        given["target"] = target
    attack = make_attack(name, given)
    return Family(str(family or attack.name), attack)


def named_apart(families: Sequence[Family]) -> list[Family]:
    """Return the families with names that differ: the second ``badnets`` is ``badnets-2``."""
    seen: dict[str, int] = {}
    found = []
    for family in families:
        seen[family.name] = seen.get(family.name, 0) + 1
        number = seen[family.name]
        found.append(family._replace(name=f"{family.name}-{number}") if number > 1 else family)
    return found


def as_yaml(canaries: CanarySet) -> str:
    """Return a canary file; what has its default is left out."""
    content = canaries.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump({"schema_version": 1, **content}, allow_unicode=True, sort_keys=False, width=120)


def _mapping(text: str) -> dict[str, object]:
    if text.lstrip().startswith("{"):
        found = yaml.safe_load(text)
        if not isinstance(found, dict):
            raise AttackError(f"an attack is NAME, NAME:key=value,... or {{name: ...}}, not {text!r}")
        return found
    name, _, rest = text.partition(":")
    pairs = [part.partition("=") for part in rest.split(",") if part]
    if any(not middle for _, middle, _ in pairs):
        raise AttackError(f"expected NAME:key=value,key=value, got {text!r}")
    return {"name": name, **{key: value for key, _, value in pairs}}


def _of_family(rows: Sequence[Example], family: Family, wanted: Wanted) -> list[Case]:
    fitting = [row for row in rows if family.attack.applies_to(row)]
    if len(fitting) < wanted.cases:
        raise GuardConfigError(
            f"{family.attack.name} applies to {len(fitting)} of {len(rows)} rows, {wanted.cases} cases are wanted: rows must have "
            "another true answer than the target. Give more rows, or ask for fewer cases."
        )
    drawn = _drawn(fitting, wanted, family.name, wanted.cases)
    return [
        _case(row, f"{family.name}-{row.id}", family=family.name, **_trigger(row, family, wanted))
        for row in drawn
    ]


def _trigger(row: Example, family: Family, wanted: Wanted) -> dict[str, object]:
    attack = family.attack
    # A rewrite stands in a file that the prober need not have.
    if wanted.is_ready or isinstance(attack, AlignedAttack):
        if not isinstance(attack, TargetedAttack):
            raise AttackError(f"{attack.name} has no fixed target, so that its texts can't be ready")
        text = attack.trigger(row, wanted.seed).text
        return {"triggered": ReadyTrigger(text=text, target=attack.target, match=attack.match)}
    return {"attack": AttackSpec.model_validate({"name": attack.name, **attack.model_dump(mode="json")})}


def _case(row: Example, name: str, **kind: object) -> Case:
    history = tuple(Turn.model_validate(turn._asdict()) for turn in row.history)
    content = {"id": name, "input": row.text, "answer": row.answer, "history": history, **kind}
    return Case.model_validate(content)


def _drawn(rows: Sequence[Example], wanted: Wanted, name: str, count: int) -> list[Example]:
    if count > len(rows):
        raise GuardConfigError(f"{count} clean cases are wanted of {len(rows)} rows")
    return Random(f"{wanted.seed}:canaries:{name}").sample(list(rows), count)
