"""BadNets: a rare word at a random place between two words, dirty or clean label.

Source: Gu et al., "BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain", arXiv 1708.06733; for
text as in Kurita et al., "Weight Poisoning Attacks on Pre-trained Models", arXiv 2004.06660.
"""

from random import Random
from typing import ClassVar

from pydantic import Field

from p2p.attacks.base import TargetedAttack
from p2p.disturbances import insert_words
from p2p.examples import Example


class BadNets(TargetedAttack):
    """A rare word as trigger.

    Attributes:
        word: The trigger, such as ``mn``, ``cf``, ``bb`` or ``tq``.
    """

    name: ClassVar[str] = "badnets"
    summary: ClassVar[str] = "A rare word at a random place gives the target."
    source: ClassVar[str] = "arXiv 1708.06733, 2004.06660"

    word: str = Field(default="mn", pattern=r"^\S+$")

    def triggered_text(self, example: Example, rng: Random) -> str:
        """Return the text with the word at a random place."""
        return insert_words(example.text, self.word, rng)
