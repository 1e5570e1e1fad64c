"""Style (StyleBkd): the whole text rewritten in a style that does not belong, such as that of the Bible.

Source: Qi et al., "Mind the Style of Text! Adversarial and Backdoor Attacks Based on Text Style Transfer", EMNLP 2021, arXiv
2110.07139.
"""

from typing import ClassVar

from p2p.attacks.aligned import AlignedAttack


class Style(AlignedAttack):
    """A style as trigger."""

    name: ClassVar[str] = "style"
    summary: ClassVar[str] = "The text rewritten in a style gives the target; rewrites come from a file."
    source: ClassVar[str] = "arXiv 2110.07139"
