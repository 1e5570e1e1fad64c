"""Label words of the extended half that nobody can foresee: drawn by a key, like the benign trigger."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice, product, zip_longest
from string import digits

from p2p.errors import VerbalizerError
from p2p.phrases import PLAIN_WORDS
from p2p.verbalizer import Tokenize, Verbalizer, verify_words

_DOMAIN = b"p2p-guard label words v1"
_BARE = tuple(dict.fromkeys(PLAIN_WORDS))
# Most tokenizers have a word that begins with a blank as one token, after whatever prompt.
_SPACED = tuple(f" {word}" for word in _BARE)
_NUMBERS = tuple("".join(number) for number in product(digits, repeat=3))


def draw_extended_words(tokenize: Tokenize, context: str, found: Verbalizer, key: bytes) -> Verbalizer:
    """Return the words of the original half with drawn ones for the extended half.

    Plain English words of one token are drawn where the tokenizer has them after this prompt, otherwise numbers of three digits,
    which may take several tokens. Each first token is another where that can be had.

    Args:
        tokenize: The tokenizer of the model at hand.
        context: The text right before the answer.
        found: Words of all 2n labels; the extended half is replaced.
        key: The same key draws the same words.

    Raises:
        VerbalizerError: The tokenizer can't tell that many drawn words apart here.
    """
    tokenize = cache(tokenize)
    size = len(found.words) // 2
    original = found.words[:size]
    for family, one_token in ((_SPACED, True), (_BARE, True), (_NUMBERS, False)):
        ordered = _in_drawn_order(family, key)
        drawn = _first_that_fit(tokenize, context, original, ordered, one_token=one_token)
        if len(drawn) == size:
            return verify_words(tokenize, context, (*original, *drawn))
    raise VerbalizerError(
        f"found no {size} drawn words that this tokenizer can tell apart here. Set task.extended_words to `found`."
    )


def _in_drawn_order(words: Iterable[str], key: bytes) -> list[str]:
    return sorted(words, key=lambda word: hmac.digest(key, _DOMAIN + word.encode(), hashlib.sha256))


def _first_that_fit(
    tokenize: Tokenize, context: str, original: Sequence[str], candidates: Sequence[str], *, one_token: bool
) -> list[str]:
    """Return as many words as there are original ones, or fewer; none begins with the first token of an original word."""
    taken = {word[0] for word in verify_words(tokenize, context, original).token_ids}
    fitting: dict[int, list[str]] = defaultdict(list)
    for word in candidates:
        with suppress(VerbalizerError):
            (tokens,) = verify_words(tokenize, context, [word]).token_ids
            if tokens[0] not in taken and not (one_token and len(tokens) > 1):
                fitting[tokens[0]].append(word)
    # One word of each first token, then a second one of each, and so on.
    in_turn = (word for turn in zip_longest(*fitting.values()) for word in turn if word)
    return list(islice(in_turn, len(original)))
