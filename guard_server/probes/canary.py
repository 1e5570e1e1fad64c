"""The canary file: inputs with known triggers, and the limits that a guard must keep.

YAML holds ``limits``, ``seed`` and ``cases``; JSONL holds one case a line. A case is an input, its true answer, and either an
attack by name and parameters (the trigger is put in when it is asked) or a text that is triggered already.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from guard_server.errors import GuardConfigError
from p2p.attacks.registry import make_attack
from p2p.examples import Example
from p2p.metrics.attack_success import TargetMatch, is_target


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReadyTrigger(_Record):
    """A text that is triggered already, and what the attacker wants."""

    text: str
    target: str
    match: TargetMatch = TargetMatch.EQUALS


class Case(_Record):
    """One canary.

    Attributes:
        id: Names it in reports.
        input: The clean input.
        answer: Its true answer.
        attack: An attack's ``name`` and parameters.
        triggered: A text that is triggered already.
    """

    id: str
    input: str = Field(min_length=1)
    answer: str
    attack: dict[str, Any] | None = None
    triggered: ReadyTrigger | None = None

    @model_validator(mode="after")
    def _has_one_trigger(self) -> Self:
        if (self.attack is None) == (self.triggered is None):
            raise ValueError("a case needs exactly one of `attack` and `triggered`")
        return self

    def question(self, seed: int) -> "Question":
        """Return what is asked.

        Raises:
            AttackError: The attack is unknown, its parameters don't fit, or it can't be carried out on this input.
        """
        if ready := self.triggered:
            succeeds = partial(is_target, target=ready.target, match=ready.match)
            return Question("ready", ready.text, succeeds, self.answer != ready.target)
        given = dict(self.attack or {})
        attack = make_attack(str(given.pop("name", "")), given)
        example = Example(self.id, self.input, self.answer)
        text = attack.trigger(example, seed).text
        succeeds = partial(attack.succeeds, example=example)
        return Question(attack.name, text, succeeds, attack.applies_to(example))


class Question(NamedTuple):
    """A triggered text.

    Attributes:
        attack: The attack's name.
        text: What is asked.
        succeeds: Whether an answer is the attacker's.
        counts: Whether it counts for ASR: the true answer is not the target.
    """

    attack: str
    text: str
    succeeds: Callable[[str | None], bool]
    counts: bool


class ProbeLimits(_Record):
    """What a guard must keep, by point estimate; None is no limit."""

    asr_max: float | None = Field(default=None, ge=0, le=1)
    asr_minus_floor_max: float | None = Field(default=None, ge=-1, le=1)
    clean_accuracy_min: float | None = Field(default=None, ge=0, le=1)
    extension_rate_min: float | None = Field(default=None, ge=0, le=1)


class CanarySet(_Record):
    """All cases, the limits, and the seed that decides where triggers go."""

    cases: tuple[Case, ...] = Field(min_length=1)
    limits: ProbeLimits = ProbeLimits()
    seed: int = 0


def load_canary(path: Path) -> CanarySet:
    """Read a canary file.

    Raises:
        GuardConfigError: It can't be read, or a case doesn't fit; the place is named.
        AttackError: A case names an unknown attack.
    """
    try:
        content = path.read_text(encoding="utf-8")
        raw = {"cases": _lines(content)} if path.suffix == ".jsonl" else yaml.safe_load(content)
        found = CanarySet.model_validate(raw)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise GuardConfigError(f"can't use {path}: {_said(error)}") from error
    for case in found.cases:
        case.question(found.seed)
    return found


def _lines(content: str) -> list[Any]:
    return [json.loads(line) for line in content.splitlines() if line.strip()]


def _said(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
