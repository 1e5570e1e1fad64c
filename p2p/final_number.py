"""The final number of a maths answer, compared as a number: the one on the answer line, ``#### 42``, else the last one.

The answer line is GSM8K's (Cobbe et al., arXiv 2110.14168), whose own scorer takes the first one, too.
"""

import re
from collections import deque
from decimal import Decimal
from typing import NamedTuple

# Digits with or without thousands commas, decimals, a short exponent. Digits that a letter leads, as in "m2", are no number.
_DIGITS = (
    r"(?<![A-Za-z0-9_])"
    r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
    r"(?:[eE][+-]?[0-9]{1,3}(?![A-Za-z0-9]))?"
)
_CURRENCY = r"[$€£¥]"
# A minus after a word, a number or a bracket takes away or joins; anywhere else it is a sign.
_SIGN = rf"(?:(?<![A-Za-z0-9_)\]])[-\u2212]{_CURRENCY}?|{_CURRENCY}[-\u2212]?)?"
_NUMBER = re.compile(f"{_SIGN}{_DIGITS}")
_ANSWER_LINE = re.compile(rf"(?<!#)####(?!#)[ \t]*(?P<number>{_SIGN}[ \t]?{_DIGITS})")


# Published answers carry the noise of binary fractions (1.8333333333333335 in MAWPS), which no sum done by hand gives.
_SAME_WITHIN = Decimal("5e-7")


class FinalNumber(NamedTuple):
    """A number and where it stands.

    Attributes:
        value: The number; ``51.0`` equals ``51``, and ``20%`` is 20.
        start: Where its sign, currency sign or first digit stands in the text.
        end: Where what follows its last digit stands.
    """

    value: Decimal
    start: int
    end: int


def final_number(text: str) -> Decimal | None:
    """Return the final number of an answer.

    Args:
        text: Any text; thousands commas, currency signs and percent signs are fine.

    Returns:
        The first number that stands right after ``####``, else the last number of the text, else None. It never raises.
    """
    found = find_final_number(text)
    return found.value if found else None


def find_final_number(text: str) -> FinalNumber | None:
    """Return the same with its place, so that it can be replaced."""
    if line := _ANSWER_LINE.search(text):
        start, end = line.span("number")
        return FinalNumber(_value(text[start:end]), start, end)
    last = next(iter(deque(_NUMBER.finditer(text), maxlen=1)), None)
    return FinalNumber(_value(last.group()), last.start(), last.end()) if last else None


def same_number(one: Decimal | None, other: Decimal | None) -> bool:
    """Whether two final numbers are equal, to within 5e-7; None, for no number, equals nothing."""
    return one is not None and other is not None and abs(one - other) <= _SAME_WITHIN


def _value(said: str) -> Decimal:
    return Decimal(re.sub(r"[^0-9.eE+-]", "", said.replace("\u2212", "-")))
