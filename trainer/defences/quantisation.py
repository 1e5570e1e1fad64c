"""Quantising the adapter: its weights rounded to 4 bits and back.

A backdoor that hangs on small differences of weights would not survive it. Plain round-to-nearest in groups of 64 weights, the block
size of 4-bit adapters in Dettmers et al., "QLoRA", arXiv 2305.14314 (whose NormalFloat levels are not used), with one scale a
group: the largest magnitude becomes 7. Needs nothing; one request costs one query.
"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from trainer.answering import UNGUARDED
from trainer.defences.base import Case, Defence, Defended, Lab, fit_undefended

if TYPE_CHECKING:
    import torch


class Quantisation(Defence):
    """The undefended adapter after a round trip through few bits.

    Attributes:
        bits: Bits a weight, sign included.
        group: How many weights in a row share a scale.
    """

    name: ClassVar[str] = "quantisation"

    bits: int = Field(default=4, ge=2, le=8)
    group: int = Field(default=64, ge=1)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        fitted = fit_undefended(case, lab)
        rounded = {
            name: round_to_levels(weight, self.bits, self.group) for name, weight in fitted.weights.items()
        }
        fitted = fitted._replace(weights=rounded)
        answer = partial(lab.answerer(case, fitted).answer, view=UNGUARDED)
        return Defended(answer, fitted, {"bits": self.bits, "group": self.group})


def round_to_levels(weight: "torch.Tensor", bits: int, group: int) -> "torch.Tensor":
    """Round a tensor to symmetric integer levels, group by group, and return it in its own type again.

    Args:
        weight: Any shape; groups run through it in storage order, the last one may be shorter.
        bits: Levels go from -(2^(bits-1) - 1) to 2^(bits-1) - 1.
        group: Weights a scale.
    """
    import torch

    flat = weight.float().flatten()
    padded = torch.nn.functional.pad(flat, (0, -len(flat) % group)).view(-1, group)
    top = 2 ** (bits - 1) - 1
    scale = padded.abs().amax(dim=1, keepdim=True) / top
    # A group of zeros has no scale; it stays zero.
    levels = (padded / scale.where(scale > 0, torch.ones_like(scale))).round().clamp(-top, top)
    rounded: torch.Tensor = (levels * scale).flatten()[: len(flat)]
    return rounded.view(weight.shape).to(weight.dtype)
