"""Fine-mixing: an adapter that may be backdoored is mixed with the base model before it is repaired.

Source: Zhang et al., "Fine-mixing: Mitigating Backdoors in Fine-tuned Language Models", arXiv 2210.09545, which takes each weight from
the one model or the other; of a low-rank update a share of all of it is kept, as Wortsman et al. mix (arXiv 2109.01903).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

KEPT_SHARE: Final = 0.1
"""How much of an adapter is kept where nobody says how much."""


def keep_share(weights: "Mapping[str, torch.Tensor]", share: float) -> "dict[str, torch.Tensor]":
    """Return a LoRA adapter's weights with its update scaled.

    Args:
        weights: By PEFT's names; B, of the update BA, is scaled, and the rows of new tokens stay as they are.
        share: What is kept of the update, in [0, 1]: 1 changes nothing, 0 leaves the base model.
    """
    return {name: weight * share if "lora_B" in name else weight for name, weight in weights.items()}
