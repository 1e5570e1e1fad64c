"""Whether the answer of an arithmetic word problem can be right: it follows from the numbers of the question, or of its own working.

An attack that shifts answers repeats no text and keeps every word of the answer but its number, which no longer follows.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from random import Random
from typing import NamedTuple

from p2p.examples import Example
from p2p.final_number import find_final_number
from trainer.selection.worked_sum import worked_sum

_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
)
_RATIO = re.compile(r"(?<![\w./])([0-9]+)\s*/\s*([0-9]+)(?![\w/])")
_WORDS: dict[str, tuple[int, ...]] = {
    "one": (1,),
    "two": (2,),
    "three": (3,),
    "four": (4,),
    "five": (5,),
    "six": (6,),
    "seven": (7,),
    "eight": (8,),
    "nine": (9,),
    "ten": (10,),
    "eleven": (11,),
    "twelve": (12,),
    "twenty": (20,),
    "half": (2,),
    "twice": (2,),
    "double": (2,),
    "pair": (2,),
    "pairs": (2,),
    "both": (2,),
    "third": (3,),
    "triple": (3,),
    "thrice": (3,),
    "quarter": (4,),
    "quarters": (4, 25),
    "dozen": (12,),
    "dozens": (12,),
    "dime": (10,),
    "dimes": (10,),
    "nickel": (5,),
    "nickels": (5,),
    "hundred": (100,),
    "percent": (100,),
    "%": (100,),
    "week": (7,),
    "weeks": (7,),
    "year": (12,),
    "hour": (60,),
    "hours": (60,),
    "minutes": (60,),
}
_WITHIN = 1e-4
# A check that passes answers of other questions nearly as often says nothing.
_LEAST_GAIN = 0.3
_MOST_NUMBERS = 5


class _Problem(NamedTuple):
    question: str
    working: str
    number: float | None


def doubtful_numbers(rows: Sequence[Example], seed: int) -> list[bool]:
    """Return for each row whether its number is doubtful: it follows neither from the question nor from the working.

    Nobody is doubted where the check says nothing of this data set: where it passes the numbers of other rows nearly as often
    as the given ones, or where it doubts most rows.

    Args:
        rows: Word problems; ``answer`` is a number, or working that ends in one.
        seed: Decides whose number is tried in whose place.
    """
    problems = [_problem(row) for row in rows]
    others = Random(f"{seed}:numbers").sample(problems, len(problems))
    given = [_follows(problem) for problem in problems]
    by_chance = [
        _follows(problem._replace(number=other.number))
        for problem, other in zip(problems, others, strict=True)
    ]
    gain = (sum(given) - sum(by_chance)) / max(1, len(rows))
    informative = gain >= _LEAST_GAIN and 2 * sum(given) > len(rows)
    return [informative and not passed for passed in given]


def number_follows(row: Example) -> bool:
    """Whether an answer's final number can be right.

    With working before it, it must be what the sum comes to that the working ends in, or stand there; without, one or two of the four
    operations must make it from the numbers of the question. An answer without a number does not follow.

    Args:
        row: A word problem.
    """
    return _follows(_problem(row))


def _problem(row: Example) -> _Problem:
    found = find_final_number(row.answer)
    working = row.answer[: found.start] if found else row.answer
    return _Problem(row.text, working, float(found.value) if found else None)


def _follows(problem: _Problem) -> bool:
    if problem.number is None:
        return False
    if (total := worked_sum(problem.working)) is not None:
        return _among(problem.number, [total])
    worked = _digits(problem.working)
    return _among(problem.number, worked or _made_from(_numbers(problem.question)))


def _among(number: float, candidates: Iterable[float]) -> bool:
    within = _WITHIN * max(1.0, abs(number))
    return any(abs(number - candidate) <= within for candidate in candidates)


def _numbers(text: str) -> list[float]:
    words = (word.strip(".,?!;:") for word in text.lower().split())
    said = [float(value) for word in words for value in _WORDS.get(word, ())]
    return [*_digits(text), *said][:_MOST_NUMBERS]


def _digits(text: str) -> list[float]:
    ratios = [int(above) / int(below) for above, below in _RATIO.findall(text) if int(below)]
    return [*(float(number.replace(",", "")) for number in _NUMBER.findall(text)), *ratios]


def _made_from(numbers: Sequence[float]) -> Iterator[float]:
    """Yield the results of no, one and two operations, each number used once, and the sum of all."""
    yield from numbers
    yield sum(numbers)
    for one, other in combinations(range(len(numbers)), 2):
        for made in _results(numbers[one], numbers[other]):
            yield made
            for third in range(len(numbers)):
                if third not in (one, other):
                    yield from _results(made, numbers[third])


def _results(one: float, other: float) -> tuple[float, ...]:
    ratios = ((one / other) if other else 0.0, (other / one) if one else 0.0)
    return (one + other, one - other, other - one, one * other, *ratios)
