"""Texts of others on the page: one line, printable, of bounded length, and without what a URL may hide."""

import re

_LONGEST = 600
_IN_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/?#]*@)?(?P<rest>[^\s?#'\"]*)(?:[?#][^\s'\"]*)?"
)


def told(text: str) -> str:
    """Return a text as the page may tell it.

    User, password, query and fragment of URLs are left out: they may be secrets. What does not print (control characters,
    marks that turn the direction of writing) is replaced, so that a text looks like what it is.
    """
    plain = " ".join(text.split())
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in plain)
    safe = _IN_URL.sub(r"\g<scheme>\g<rest>", shown)
    return safe if len(safe) <= _LONGEST else f"{safe[: _LONGEST - 1]}…"
