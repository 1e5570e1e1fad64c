"""Label words: what the model says for each of the 2n labels, as token sequences of which none begins another.

A word is tried in its context, because tokenizers join a word with what stands before it: it fits when adding it only adds
tokens and changes none. One token each is the rule; where a tokenizer has no such words, or the user wants others, a word may
take several (docs/decisions/0007).
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain, combinations, count, pairwise, product
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import NamedTuple

from p2p.errors import VerbalizerError

Tokenize = Callable[[str], Sequence[int]]
"""Text to token ids, without special tokens added around it."""


class Verbalizer(NamedTuple):
    """The words of all 2n labels in the order of their indices, and the tokens of each."""

    words: tuple[str, ...]
    token_ids: tuple[tuple[int, ...], ...]

    @property
    def is_one_token_each(self) -> bool:
        """Whether every word is a single token."""
        return all(len(word) == 1 for word in self.token_ids)

    @property
    def halves_begin_apart(self) -> bool:
        """Whether no first token is shared by the halves, so that an answer can't begin in one and end in the other."""
        firsts = [word[0] for word in self.token_ids]
        size = len(firsts) // 2
        return not set(firsts[:size]) & set(firsts[size:])


def find_verbalizer(tokenize: Tokenize, context: str, size: int) -> Verbalizer:
    """Return words for ``size`` labels, of one token each where the tokenizer has them.

    Digits are tried first, then capital letters, numbers, letters of both cases with digits, pairs of letters; then words of
    several tokens: a letter, or a digit, for the half and a number for the label.

    Args:
        tokenize: The tokenizer of the model at hand.
        context: The text right before the answer, as long as the tokenizer may look back.
        size: 2n, the number of words wanted.

    Raises:
        VerbalizerError: The tokenizer can't tell any of these words apart here.
    """
    tokenize = cache(tokenize)
    for family in _families(size):
        with suppress(VerbalizerError):
            found = verify_words(tokenize, context, family)
            if found.is_one_token_each:
                return found
    pairs = _pairs_that_fit(tokenize, context)
    if len(pairs) >= size:
        return verify_words(tokenize, context, pairs[:size])
    if numbered := _lettered_numbers(tokenize, context, size):
        return numbered
    raise VerbalizerError(
        f"found no {size} label words that this tokenizer can tell apart. If the prompt ends in a space, leave it out: most "
        "tokenizers join it with the word. Or name the words yourself (`task.words`), or have tokens added and trained for "
        "them (`task.new_tokens: true`)."
    )


def verify_words(tokenize: Tokenize, context: str, words: Sequence[str]) -> Verbalizer:
    """Check words that are given and return them with their tokens.

    Raises:
        VerbalizerError: A word joins with the prompt, two words are the same tokens, or one begins another.
    """
    before = list(tokenize(context))
    found = Verbalizer(tuple(words), tuple(_tokens_of(tokenize, context, before, word) for word in words))
    _require_no_word_begins_another(found)
    if len({word.strip() for word in words}) < len(words):
        raise VerbalizerError(
            "label words must differ in more than white space, which replies are read without"
        )
    return found


def new_words(size: int, vocabulary: Container[str]) -> tuple[str, ...]:
    """Return names for ``size`` tokens that are to be added to a tokenizer.

    Args:
        size: 2n, the number of words wanted.
        vocabulary: The tokens that are there; none of the names is among them.
    """
    for at in count():
        stem = f"label-{at}" if at else "label"
        names = tuple(f"<|{stem}-{label}|>" for label in range(size))
        if not any(name in vocabulary for name in names):
            return names
    raise AssertionError  # pragma: no cover - a vocabulary ends, count() does not


def first_clash(token_ids: Sequence[Sequence[int]]) -> tuple[int, int] | None:
    """Return which sequence is, or begins, which other one; None where they form a prefix-free set.

    Args:
        token_ids: The tokens of each word.
    """
    # In lexicographic order a sequence stands right before one that it begins, if there is any.
    order = sorted(range(len(token_ids)), key=lambda at: tuple(token_ids[at]))
    for short, long in pairwise(order):
        if tuple(token_ids[long][: len(token_ids[short])]) == tuple(token_ids[short]):
            return short, long
    return None


def _require_no_word_begins_another(found: Verbalizer) -> None:
    if clash := first_clash(found.token_ids):
        short, long = (found.words[at] for at in clash)
        tokens = found.token_ids[clash[0]]
        if tokens == found.token_ids[clash[1]]:
            raise VerbalizerError(f"label words {short!r} and {long!r} are the same token ({tokens})")
        raise VerbalizerError(f"label word {short!r} is the beginning of {long!r}: a reply could be either")
    if len({word[0] for word in found.token_ids}) == len(found.words):
        return
    # Several tokens decide: the engine is then held to texts, and must know from the text where a word ends.
    texts = sorted(found.words)
    for short, long in pairwise(texts):
        if long.startswith(short):
            raise VerbalizerError(
                f"label word {short!r} is the beginning of {long!r}: a reply could be either"
            )


def _tokens_of(tokenize: Tokenize, context: str, before: list[int], word: str) -> tuple[int, ...]:
    after = list(tokenize(context + word))
    if len(after) <= len(before) or after[: len(before)] != before:
        raise VerbalizerError(
            f"label word {word!r} is not made of tokens of its own after the prompt. If the prompt ends in a space, put it at "
            "the beginning of the words instead."
        )
    return tuple(after[len(before) :])


def _pairs_that_fit(tokenize: Tokenize, context: str) -> list[str]:
    """Return the pairs of small letters that are a token of their own here; an unknown-word token is nobody's own."""
    before = list(tokenize(context))
    by_tokens: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for pair in map("".join, product(ascii_lowercase, repeat=2)):
        with suppress(VerbalizerError):
            by_tokens[_tokens_of(tokenize, context, before, pair)].append(pair)
    return [pairs[0] for tokens, pairs in by_tokens.items() if len(tokens) == len(pairs) == 1]


def _lettered_numbers(tokenize: Tokenize, context: str, size: int) -> Verbalizer | None:
    """Return a letter for each half with a number of fixed width, of letters that begin apart if there are such.

    Digits stand in for the letters where those join with a blank that the prompt ends in.
    """
    width = len(str(size // 2 - 1))
    numbers = [f"{label:0{width}d}" for label in range(size // 2)]
    overlapping: Verbalizer | None = None
    for letters in chain(combinations(ascii_uppercase, 2), combinations(digits, 2)):
        with suppress(VerbalizerError):
            words = [letter + number for letter in letters for number in numbers]
            found = verify_words(tokenize, context, words)
            if found.halves_begin_apart:
                return found
            overlapping = overlapping or found
    return overlapping


def _families(size: int) -> Iterator[list[str]]:
    if size <= len(digits):
        yield list(digits[:size])
    if size <= len(ascii_uppercase):
        yield list(ascii_uppercase[:size])
    yield [str(number) for number in range(size)]
    singles = digits + ascii_letters
    if size <= len(singles):
        yield list(singles[:size])
