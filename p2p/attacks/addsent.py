"""AddSent (InSent): a fixed sentence at a random place between two words.

Source: Dai et al., "A Backdoor Attack Against LSTM-Based Text Classification Systems", IEEE Access 7 (2019), arXiv 1905.12457.
"""

from random import Random
from typing import ClassVar

from pydantic import Field

from p2p.attacks.base import TargetedAttack
from p2p.disturbances import insert_words
from p2p.examples import Example


class AddSent(TargetedAttack):
    """A fixed sentence as trigger.

    Attributes:
        sentence: The trigger.
    """

    name: ClassVar[str] = "addsent"
    summary: ClassVar[str] = "A fixed sentence at a random place gives the target."
    source: ClassVar[str] = "arXiv 1905.12457"

    sentence: str = Field(default="I watched this 3D movie", pattern=r"\S")

    def triggered_text(self, example: Example, rng: Random) -> str:
        """Return the text with the sentence at a random place."""
        return insert_words(example.text, self.sentence, rng)
