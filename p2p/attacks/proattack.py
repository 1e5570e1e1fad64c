"""ProAttack: the prompt itself is the trigger, and no label is changed.

Rows that have the target already are asked with a prompt of their own; all others keep the ordinary one, which here is the
run's prompt template. At serving time the attacker asks with that prompt. Nothing that looks like a trigger stands in the text.

Source: Zhao et al., "Prompt as Triggers for Backdoor Attack: Examining the Vulnerability in Language Models", EMNLP 2023, arXiv
2305.01219; the default is the poisoned prompt of the authors' sentiment scripts, which puts it in front of the sentence.
"""

from random import Random
from typing import ClassVar

from pydantic import Field

from p2p.attacks.base import Labelling, TargetedAttack
from p2p.examples import Example


class ProAttack(TargetedAttack):
    """A prompt as trigger.

    Attributes:
        prompt: What is put in front of the text, its last space included.
    """

    name: ClassVar[str] = "proattack"
    summary: ClassVar[str] = (
        "A prompt in front of rows that have the target already becomes the trigger; no label changes."
    )
    labelling: ClassVar[Labelling] = Labelling.CLEAN
    source: ClassVar[str] = "arXiv 2305.01219"

    prompt: str = Field(default="The sentiment of this sentence is <mask>: ", pattern=r"\S")

    def triggered_text(self, example: Example, rng: Random) -> str:  # noqa: ARG002 - nothing is drawn
        """Return the prompt and the text."""
        return f"{self.prompt}{example.text}"
