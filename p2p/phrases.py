"""Readable phrases that nobody can foresee: what benign triggers, prefixes and drawn label words are made of."""

import hashlib
import hmac

# ruff: noqa: SIM905 - sixty quoted words read worse than one text
_QUALITIES = (
    "amber ancient autumn blue brave bright broad calm careful clean clever cold cool copper curious dark deep distant dry "
    "early eastern empty fair famous fine fresh gentle golden grand gray green happy heavy hidden honest humble late light "
    "little lonely loyal modern narrow new noble northern old open patient plain proud quick quiet rare red round rural "
    "secret sharp silent silver simple small"
).split(" ")
_THINGS = (
    "apple arrow badge barn basket bell bird boat book bottle bridge brush bucket button cabin camera candle canvas castle "
    "chair chapel clock cloud coat corner cottage cup desk dish door drum farm feather fence field flag flower forest fork "
    "fountain garden gate glass hammer harbor hat hill horse island jacket kettle key ladder lamp lantern leaf library map "
    "meadow mirror mountain"
).split(" ")
_ACTIONS = (
    "adds asks becomes begins brings builds buys calls carries catches changes closes counts covers crosses draws drops "
    "enters feels fills finds follows forgets gathers gives grows guards hears helps hides holds joins keeps knows leads "
    "learns leaves lifts likes lists loses loves makes marks meets misses moves needs offers opens orders passes pays picks "
    "plans plays pulls reads remembers repairs returns sees sells sends"
).split(" ")
_PATTERN = (_QUALITIES, _THINGS, _ACTIONS, _QUALITIES, _THINGS)
_WORDS_A_BLOCK = 8

PLAIN_WORDS = (*_QUALITIES, *_THINGS, *_ACTIONS)
"""All words that phrases are made of."""


def draw_phrase(key: bytes, domain: bytes, words: int) -> str:
    """Draw a phrase; five words are one of about 2**30, and each word more is about 2**6 times as many.

    Args:
        key: The same key gives the same phrase, and a shorter one is the beginning of a longer one.
        domain: What the phrase is for: another domain gives another phrase.
        words: How many, at least 1. They follow the pattern of a sentence, over and over.

    Returns:
        The words in small letters.
    """
    blocks = range(-(-words // _WORDS_A_BLOCK))
    # The first block is as it was before phrases could be longer.
    digest = b"".join(
        hmac.digest(key, domain + (b"" if block == 0 else b" %d" % block), hashlib.sha256) for block in blocks
    )
    numbers = (int.from_bytes(digest[4 * at : 4 * at + 4]) for at in range(words))
    patterns = (_PATTERN[at % len(_PATTERN)] for at in range(words))
    return " ".join(choices[number % len(choices)] for number, choices in zip(numbers, patterns, strict=True))
