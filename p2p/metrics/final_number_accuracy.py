"""Exact final number: the share of maths answers whose final number is the true one."""

from collections.abc import Sequence
from decimal import Decimal

from p2p.final_number import final_number
from p2p.metrics.rate import Rate

# Published answers carry the noise of binary fractions (1.8333333333333335), which no sum done by hand gives.
_SAME_WITHIN = Decimal("5e-7")


def final_number_accuracy(answers: Sequence[str | None], truths: Sequence[str]) -> Rate:
    """Return the share of projected answers that end in the true answer's final number.

    Args:
        answers: The projected answers; None, or one without a number, is wrong.
        truths: The true answers of the same rows: a bare number, or a worked answer that ends in one.

    Raises:
        ValueError: The two differ in length, or a true answer holds no number.
    """
    return Rate.of([same_final_number(answer, truth) for answer, truth in zip(answers, truths, strict=True)])


def same_final_number(answer: str | None, truth: str) -> bool:
    """Whether an answer ends in the true number: ``7``, ``7.0`` and ``#### 7`` are the same, and so is what agrees to six decimals.

    Raises:
        ValueError: The true answer holds no number.
    """
    wanted = final_number(truth)
    if wanted is None:
        raise ValueError("a true answer holds no number; is the task's style `maths`?")
    said = final_number(answer or "")
    return said is not None and abs(said - wanted) < _SAME_WITHIN
