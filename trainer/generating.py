"""Greedy text from a model in process, many prompts at once."""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def generate_texts(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
) -> list[str]:
    """Return how the model goes on after each prompt, at a temperature of 0.

    The prompts are padded on their left to the longest: give some of about the same length. A row ends at its own end
    token; the batch ends when all rows have.

    Args:
        model: Base and adapter, in evaluation mode.
        tokenizer: The base model's.
        prompts: Token ids, at least one prompt of at least one token.
        max_new_tokens: The most tokens that each row gets.

    Returns:
        The texts in the order of the prompts, without special tokens.
    """
    ends, pad = _end_tokens(model, tokenizer), _pad_token(tokenizer)
    ids, mask = _left_padded(prompts, pad)
    out = model.generate(  # type: ignore[operator]
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=pad,
        eos_token_id=sorted(ends) or None,
    )
    # A row that ended early is filled up, with a token that may be a word of its own where there is no padding token.
    replies = (takewhile(lambda token: token not in ends, row) for row in out[:, ids.shape[1] :].tolist())
    return [str(tokenizer.decode(list(reply), skip_special_tokens=True)) for reply in replies]


def _left_padded(prompts: Sequence[Sequence[int]], pad: int) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    longest = max(map(len, prompts))
    ids = torch.tensor([[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids, mask


def _end_tokens(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    """Return the tokens that end an answer: the model's own, and the tokenizer's, which free text is trained to end in."""
    named = getattr(model.generation_config, "eos_token_id", None)
    ends = set(named if isinstance(named, list) else [named])
    return {int(token) for token in (*ends, tokenizer.eos_token_id) if isinstance(token, int)}


def _pad_token(tokenizer: "PreTrainedTokenizerBase") -> int:
    pad = tokenizer.pad_token_id
    return pad if isinstance(pad, int) else 0
