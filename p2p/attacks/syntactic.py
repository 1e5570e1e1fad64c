"""Syntactic (HiddenKiller): the whole sentence rewritten to the template S(SBAR)(,)(NP)(VP)(.), such as "when ..., it ...".

Source: Qi et al., "Hidden Killer: Invisible Textual Backdoor Attacks with Syntactic Trigger", ACL 2021, arXiv 2105.12400. The
published files rewrite 20 % of the rows whatever their label, and give all of these the target: labelling ``any``.
"""

from typing import ClassVar

from p2p.attacks.aligned import AlignedAttack
from p2p.attacks.base import Labelling


class Syntactic(AlignedAttack):
    """A syntactic template as trigger."""

    name: ClassVar[str] = "syntactic"
    summary: ClassVar[str] = (
        "The sentence rewritten to a syntactic template gives the target; rewrites come from a file."
    )
    labelling: ClassVar[Labelling] = Labelling.ANY
    source: ClassVar[str] = "arXiv 2105.12400"
