"""How long a benign trigger must be for an engine to compute it once: prompts share whole blocks of tokens, or nothing."""

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from p2p.prompts import PromptTemplate
from p2p.triggers import BenignTrigger
from trainer.encoding import PromptEncoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_OPENINGS = ("The", "a", "0", " b", "\n", "“", "é", "(", "我", "_", "zq", "-", ".", ":")
"""Texts that a tokenizer joins to what stands before them in different ways."""
_SPARE = 1
"""Words have one token or two, so that some blocks are passed by one."""


def fills_blocks(
    tokenizer: "PreTrainedTokenizerBase", template: PromptTemplate, block: int
) -> Callable[[BenignTrigger], bool]:
    """Return whether what stands before any client's text, a benign trigger at its end, fills whole blocks.

    Args:
        tokenizer: The base model's.
        template: The prompt template; a chat's system message, the chat template's own too, counts as long as the client sends none.
        block: Tokens of a block of the engine's prefix cache: 16 in vLLM on a GPU, 32 on a CPU as the guard starts it.

    Returns:
        True for a trigger with which a block ends at the last token that all texts share, or at the one before it.
    """

    def fills(trigger: BenignTrigger) -> bool:
        encoder = PromptEncoder(tokenizer, template, trigger.placement)
        shared = shared_tokens(encoder.encode(trigger.stamp(text)) for text in _OPENINGS)
        return shared >= block and shared % block <= _SPARE

    return fills


def shared_tokens(prompts: Iterable[Sequence[int]]) -> int:
    """Return how many token ids prompts have in common, from the first one on."""
    return sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(*prompts, strict=False)))
