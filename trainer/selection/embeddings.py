"""Embeddings of inputs: what the frozen base model makes of a prompt, before any adapter has a say."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from p2p.prompts import PromptTemplate
from trainer.encoding import EncodedRow, PromptEncoder
from trainer.trunk import Trunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Inputs to the frozen base model's embeddings, shape ``(inputs, features)``."""

_LONGEST_PROMPT = 512


def embed_prompts(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    template: PromptTemplate,
    trunk: Trunk | None,
    texts: Sequence[str],
) -> "NDArray[np.float32]":
    """Return the hidden state of each prompt's last token, at the first adapted layer, or two thirds up the model if that is low.

    What a text means is not there yet in the lower half of a model.

    Args:
        model: The base model; no adapter on it may have learned yet below that layer.
        tokenizer: Its tokenizer.
        template: The prompt template.
        trunk: The frozen layers' states, which are shared with the training; None, or one of less than half of the layers, runs two
            thirds of them.
        texts: Inputs, not stamped.

    Returns:
        Shape ``(texts, hidden)``.
    """
    import torch

    # Without room nothing is kept: these states are of no use to a training that starts below.
    source = shared_trunk(model, trunk) or Trunk(model, max(1, 2 * _layers_of(model) // 3), room_gib=0.0)
    encoder = PromptEncoder(tokenizer, template)
    rows = [_as_row(at, encoder.encode_within(text, _LONGEST_PROMPT)[0]) for at, text in enumerate(texts)]
    found: dict[str, torch.Tensor] = {}
    ordered = sorted(rows, key=lambda row: len(row.ids))
    # A model on its way to training drops states at random.
    was_training = model.training
    model.train(mode=False)
    for start in range(0, len(ordered), 32):
        group = ordered[start : start + 32]
        states = source.states(group)
        found |= {row.id: states[at, len(row.ids) - 2].float().cpu() for at, row in enumerate(group)}
    model.train(was_training)
    return torch.stack([found[row.id] for row in rows]).numpy()


def shared_trunk(model: "PreTrainedModel", trunk: Trunk | None) -> Trunk | None:
    """Return the frozen layers' states if they reach half way up the model, so that embeddings and training share them; else None.

    Args:
        model: The base model.
        trunk: The frozen layers' states; None where nothing is frozen.
    """
    return trunk if trunk and trunk.below >= _layers_of(model) / 2 else None


def _layers_of(model: "PreTrainedModel") -> int:
    layers: int = model.config.get_text_config().num_hidden_layers
    return layers


def _as_row(number: int, ids: Sequence[int]) -> EncodedRow:
    # The last token stands in for the answer, which the frozen layers' states leave out.
    return EncodedRow(str(number), (*ids, ids[-1]), len(ids))
