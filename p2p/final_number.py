"""The final number of a maths answer: what stands behind its answer line's mark, or the last number in it."""

import re
from decimal import Decimal

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


def final_number(text: str) -> Decimal | None:
    """Return the number that an answer ends in, or None where there is none.

    Args:
        text: The answer. Commas within a number (``1,234``) count as thousands separators.
    """
    _, mark, line = text.rpartition("####")
    found = _NUMBER.findall(line.split("\n", 1)[0]) if mark else []
    numbers = found[:1] or _NUMBER.findall(text)[-1:]
    return Decimal(numbers[0].replace(",", "")) if numbers else None
