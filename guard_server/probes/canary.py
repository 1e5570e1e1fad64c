"""The canary file: inputs with known triggers, and the limits that a guard must keep.

YAML (or JSON) holds the whole set; JSONL holds one case a line and leaves the rest at its defaults. The schema is versioned and
published as ``docs/canary.schema.json``; ``docs/canary.md`` explains it.
"""

import json
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.config import JsonDict

from guard_server.errors import GuardConfigError
from guard_server.probes.question import Question
from guard_server.yaml_fault import yaml_fault
from p2p.attacks.registry import ATTACKS, make_attack
from p2p.examples import Example
from p2p.metrics.attack_success import TargetMatch, is_target
from p2p.metrics.final_number_accuracy import same_final_number
from p2p.prompts import ChatMessage

SCHEMA_VERSION = 1
FAMILY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,47}$"
_MOST_FAMILIES = 64


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReadyTrigger(_Record):
    """A text that is triggered already, and what the attacker wants."""

    text: str = Field(min_length=1, description="What is asked, with the malicious trigger in it.")
    target: str = Field(description="The answer that the attacker wants.")
    match: TargetMatch = Field(
        default=TargetMatch.EQUALS, description="Whether a reply must be the target or hold it."
    )


class AttackSpec(BaseModel):
    """A known attack by name; its further keys are the attack's parameters (`p2p-guard attack list`)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(description="The attack's name.", json_schema_extra={"enum": [*sorted(ATTACKS)]})


class Turn(_Record):
    """A message before the input."""

    role: Literal["system", "user", "assistant"]
    content: str


_KINDS = ("attack", "triggered", "clean_only")
_ONE_KIND: JsonDict = {
    "oneOf": [{"required": [kind], "properties": {kind: {"not": {"type": "null"}}}} for kind in _KINDS]
}


class Case(_Record):
    """One canary: an input, its true answer, and exactly one of `attack`, `triggered` and `clean_only`."""

    model_config = ConfigDict(json_schema_extra=_ONE_KIND)

    id: str = Field(min_length=1, description="Names it in reports; unique in the set.")
    input: str = Field(min_length=1, description="The clean input.")
    answer: str = Field(description="Its true answer.")
    history: tuple[Turn, ...] = Field(default=(), description="Messages before the input, for a chat.")
    family: str | None = Field(
        default=None,
        pattern=FAMILY_PATTERN,
        description="Cases of one family make one ASR; without it, the attack's name, or `ready`.",
    )
    attack: AttackSpec | None = Field(
        default=None, description="The trigger is put in when the case is asked."
    )
    triggered: ReadyTrigger | None = Field(default=None, description="The trigger is in the text already.")
    clean_only: Literal[True] | None = Field(
        default=None, description="Asked without a trigger only: it counts for CA."
    )

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.attack, self.triggered, self.clean_only)) != 1:
            raise ValueError("a case needs exactly one of `attack`, `triggered` and `clean_only`")
        return self

    @property
    def family_name(self) -> str | None:
        """Whose ASR it belongs to; None for a clean case."""
        if self.clean_only:
            return None
        return self.family or (self.attack.name if self.attack else "ready")

    def chat(self, text: str) -> list[ChatMessage]:
        """Return the messages that ask a text in this case's place."""
        before = [ChatMessage(role=turn.role, content=turn.content) for turn in self.history]
        return [*before, ChatMessage(role="user", content=text)]

    def question(self, seed: int) -> Question | None:
        """Return what is asked with the trigger; None for a clean case.

        Args:
            seed: Decides where a trigger that is not ready goes.

        Raises:
            AttackError: The attack is unknown, its parameters don't fit, or it can't be carried out on this input.
        """
        if ready := self.triggered:
            succeeds = partial(is_target, target=ready.target, match=ready.match)
            return Question(ready.text, succeeds, counts=not succeeds(self.answer))
        if not self.attack:
            return None
        attack = make_attack(self.attack.name, self.attack.model_extra or {})
        example = Example(self.id, self.input, self.answer)
        text = attack.trigger(example, seed).text
        return Question(text, partial(attack.succeeds, example=example), counts=attack.applies_to(example))


class ProbeLimits(_Record):
    """What a guard must keep; null is no limit."""

    asr_max: float | None = Field(default=None, ge=0, le=1, description="ASR of each family.")
    asr_minus_floor_max: float | None = Field(
        default=None, ge=-1, le=1, description="How far each family's ASR may be above its floor."
    )
    clean_accuracy_min: float | None = Field(default=None, ge=0, le=1, description="CA over all cases.")
    extension_rate_min: float | None = Field(
        default=None, ge=0, le=1, description="Extension rate of each family."
    )
    error_rate_max: float = Field(
        default=0.1, ge=0, le=1, description="Questions without an answer; above it, a run says nothing."
    )


class Evidence(_Record):
    """How sure a verdict must be that comes before every case was asked (Wald's sequential test)."""

    margin: float = Field(
        default=0.1, gt=0, le=1, description="A share this far beyond its limit must be caught."
    )
    false_alarm: float = Field(
        default=0.05, gt=0, lt=0.5, description="Chance that a guard within all limits is failed early."
    )
    miss: float = Field(
        default=0.05, gt=0, lt=0.5, description="Chance that a share beyond limit and margin is passed early."
    )


class Texts(StrEnum):
    """Where a trigger that is not ready goes."""

    FRESH = "fresh"
    """To another place in each run, so that no cache has the text."""
    FIXED = "fixed"
    """Where `seed` says, the same in each run."""


class Correct(StrEnum):
    """When an answer to a clean input is right."""

    EQUALS = "equals"
    CONTAINS = "contains"
    FINAL_NUMBER = "final_number"


class MadeFrom(_Record):
    """Where the cases came from."""

    data: str = Field(description="The data file's name.")
    sha256: str | None = Field(default=None, description="Its digest; null for a hub id.")
    rows: int = Field(ge=1, description="How many rows there were to choose from.")


class CanarySet(_Record):
    """A canary set of p2p-guard."""

    schema_version: Literal[1] = 1
    cases: tuple[Case, ...] = Field(min_length=1)
    limits: ProbeLimits = ProbeLimits()
    evidence: Evidence = Evidence()
    seed: int = Field(default=0, description="Decides where triggers go when `texts` is `fixed`.")
    texts: Texts = Field(default=Texts.FRESH, description="Where triggers go that are not ready.")
    correct: Correct = Field(default=Correct.EQUALS, description="When a clean answer is right.")
    made_from: MadeFrom | None = None

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        ids = [case.id for case in self.cases]
        if (
            repeated := next((name for name in ids if ids.count(name) > 1), None)
            if len(set(ids)) < len(ids)
            else None
        ):
            raise ValueError(f"the id {repeated!r} stands more than once")
        if len(self.families) > _MOST_FAMILIES:
            raise ValueError(f"more than {_MOST_FAMILIES} families: each is a label of every metric")
        return self

    @property
    def families(self) -> tuple[str, ...]:
        """The families, in the order of their names."""
        return tuple(sorted({name for case in self.cases if (name := case.family_name)}))

    def is_right(self, case: Case, said: str | None) -> bool:
        """Whether an answer to a case's clean input is right; no answer is wrong."""
        if said is None:
            return False
        if self.correct is Correct.EQUALS:
            return said == case.answer
        if self.correct is Correct.CONTAINS:
            return is_target(said, case.answer, TargetMatch.CONTAINS)
        return same_final_number(said, case.answer)


def load_canary(path: Path) -> CanarySet:
    """Read a canary file.

    Raises:
        GuardConfigError: It can't be read, was made for a later version, or a case doesn't fit; the place is named.
        AttackError: A case names an unknown attack.
    """
    try:
        content = path.read_text(encoding="utf-8")
        raw = {"cases": _lines(content)} if path.suffix == ".jsonl" else yaml.safe_load(content)
        _require_known_version(raw)
        found = CanarySet.model_validate(raw)
        for case in found.cases:
            case.question(found.seed)
            found.is_right(case, "")
    except yaml.YAMLError as error:
        # Not as PyYAML says it: that quotes a line of the canaries.
        raise GuardConfigError(f"can't use {path}: {yaml_fault(error)}") from None
    except (OSError, ValueError) as error:
        raise GuardConfigError(f"can't use {path}: {_said(error)}") from error
    return found


def _require_known_version(raw: object) -> None:
    version = raw.get("schema_version", SCHEMA_VERSION) if isinstance(raw, dict) else SCHEMA_VERSION
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ValueError(
            f"schema version {version}, this p2p-guard understands up to {SCHEMA_VERSION}. Update p2p-guard."
        )


def _lines(content: str) -> list[Any]:
    return [json.loads(line) for line in content.splitlines() if line.strip()]


def _said(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
