"""Label words: one distinct token for each of the 2n labels, at the place where the answer begins.

A word is tried in its context, because tokenizers join a word with what stands before it: it fits when adding it adds
exactly one token and changes none.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import product
from string import ascii_lowercase, ascii_uppercase
from typing import NamedTuple

from p2p.errors import VerbalizerError

Tokenize = Callable[[str], Sequence[int]]
"""Text to token ids, without special tokens added around it."""


class Verbalizer(NamedTuple):
    """The words of all 2n labels in the order of their indices, and the token id of each."""

    words: tuple[str, ...]
    token_ids: tuple[int, ...]


def find_verbalizer(tokenize: Tokenize, context: str, size: int) -> Verbalizer:
    """Return words for ``size`` labels: digits where they suffice, then capital letters, numbers, pairs of letters.

    Args:
        tokenize: The tokenizer of the model at hand.
        context: The text right before the answer, as long as the tokenizer may look back.
        size: 2n, the number of words wanted.

    Raises:
        VerbalizerError: The tokenizer has no family of words that are one distinct token each here.
    """
    for family in _families(size):
        try:
            return verify_words(tokenize, context, family)
        except VerbalizerError:
            continue
    pairs = _pairs_that_fit(tokenize, context)
    if len(pairs) >= size:
        return verify_words(tokenize, context, pairs[:size])
    raise VerbalizerError(
        f"found no {size} label words that are one distinct token each for this tokenizer. If the prompt ends in a "
        "space, leave it out: most tokenizers join it with the word. Or name the words yourself (`task.words`)."
    )


def verify_words(tokenize: Tokenize, context: str, words: Sequence[str]) -> Verbalizer:
    """Check words that are given and return them with their token ids.

    Raises:
        VerbalizerError: A word is not one token in this context, or two words are the same token.
    """
    before = list(tokenize(context))
    ids = [_token_of(tokenize, context, before, word) for word in words]
    owner: dict[int, str] = {}
    for word, token in zip(words, ids, strict=True):
        if token in owner:
            raise VerbalizerError(f"label words {owner[token]!r} and {word!r} are the same token ({token})")
        owner[token] = word
    if len({word.strip() for word in words}) < len(words):
        raise VerbalizerError(
            "label words must differ in more than white space, which replies are read without"
        )
    return Verbalizer(tuple(words), tuple(ids))


def _token_of(tokenize: Tokenize, context: str, before: list[int], word: str) -> int:
    after = list(tokenize(context + word))
    if len(after) != len(before) + 1 or after[:-1] != before:
        raise VerbalizerError(f"label word {word!r} is not one token of its own after the prompt")
    return after[-1]


def _pairs_that_fit(tokenize: Tokenize, context: str) -> list[str]:
    """Return the pairs of small letters that are a token of their own here; an unknown-word token is nobody's own."""
    before = list(tokenize(context))
    by_token: dict[int, list[str]] = defaultdict(list)
    for pair in map("".join, product(ascii_lowercase, repeat=2)):
        with suppress(VerbalizerError):
            by_token[_token_of(tokenize, context, before, pair)].append(pair)
    return [pairs[0] for pairs in by_token.values() if len(pairs) == 1]


def _families(size: int) -> Iterator[list[str]]:
    if size <= 10:
        yield [str(digit) for digit in range(size)]
    if size <= len(ascii_uppercase):
        yield list(ascii_uppercase[:size])
    yield [str(number) for number in range(size)]
