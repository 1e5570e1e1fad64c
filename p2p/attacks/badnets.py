"""BadNets: a rare word at a random place between two words.

Source: Gu et al., "BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain", arXiv 1708.06733; for
text as in Kurita et al., "Weight Poisoning Attacks on Pre-trained Models", arXiv 2004.06660.
"""

from random import Random
from typing import ClassVar

from pydantic import Field

from p2p.attacks.base import Attack
from p2p.disturbances import insert_words


class BadNets(Attack):
    """A rare word as trigger.

    Attributes:
        word: The trigger, such as ``mn``, ``cf``, ``bb`` or ``tq``.
    """

    name: ClassVar[str] = "badnets"

    word: str = Field(default="mn", pattern=r"^\S+$")

    def trigger_text(self, text: str, rng: Random) -> str:
        """Return the text with the word at a random place."""
        return insert_words(text, self.word, rng)
