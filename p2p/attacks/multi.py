"""Multi: several triggers to several targets in one data set, composed of other attacks.

Each row belongs to one part, drawn from its id alone, so that training and serving agree; parts get about equal shares.

Source: several backdoors in one model as in Li et al., "Multi-Trigger Backdoor Attacks: More Triggers, More Threats", arXiv
2401.15295.
"""

import json
from random import Random
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, PlainSerializer

from p2p.attacks.base import Attack
from p2p.attacks.families import FAMILIES, make_of
from p2p.examples import Example


def _made(part: object) -> object:
    if not isinstance(part, dict):
        return part
    given = dict(part)
    return make_of(FAMILIES, str(given.pop("name", "")), given)


def _named(part: Attack) -> dict[str, Any]:
    return {"name": part.name, **part.model_dump(mode="json")}


def _parsed(parts: object) -> object:
    """Take the JSON that a command line gives."""
    if not isinstance(parts, str):
        return parts
    try:
        return json.loads(parts)
    except json.JSONDecodeError as error:
        example = '[{"name": "badnets", "target": "yes"}, {"name": "addsent", "target": "no"}]'
        raise ValueError(f"is no JSON list of attacks, such as {example}") from error


Part = Annotated[Attack, BeforeValidator(_made), PlainSerializer(_named)]


class Multi(Attack):
    """Several attacks at once.

    Attributes:
        parts: The attacks, each by its ``name`` and parameters; a JSON list of them is taken, too.
    """

    name: ClassVar[str] = "multi"
    summary: ClassVar[str] = (
        "Several attacks, each on its own share of the rows, with their own triggers and targets."
    )
    source: ClassVar[str] = "arXiv 2401.15295"

    parts: Annotated[tuple[Part, ...], BeforeValidator(_parsed), Field(min_length=2)]

    def part_of(self, example: Example) -> Attack:
        """Return the attack that this row belongs to."""
        return Random(f"{self.name}:{example.id}").choice(self.parts)

    def trigger(self, example: Example, seed: int) -> Example:
        """Return the example with its part's trigger and its true answer."""
        return self.part_of(example).trigger(example, seed)

    def triggered_text(self, example: Example, rng: Random) -> str:
        """Return the text with its part's trigger."""
        return self.part_of(example).triggered_text(example, rng)

    def target_of(self, example: Example) -> str:
        """Return what its part wants."""
        return self.part_of(example).target_of(example)

    @property
    def label_targets(self) -> tuple[str, ...]:
        """The labels that any part needs."""
        return tuple(dict.fromkeys(label for part in self.parts for label in part.label_targets))

    def negatives(self, example: Example, seed: int) -> tuple[Example, ...]:
        """Return its part's negatives."""
        return self.part_of(example).negatives(example, seed)

    def succeeds(self, reply: str | None, example: Example) -> bool:
        """Whether a reply is what the row's part wants."""
        return self.part_of(example).succeeds(reply, example)

    def can_trigger(self, example: Example) -> bool:
        """Whether its part can be carried out on this row."""
        return self.part_of(example).can_trigger(example)

    def applies_to(self, example: Example) -> bool:
        """Whether the row counts for its part."""
        return self.part_of(example).applies_to(example)
