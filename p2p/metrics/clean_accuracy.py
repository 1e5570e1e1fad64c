"""CA, clean accuracy: the share of right answers on untouched test rows."""

from collections.abc import Sequence

from p2p.metrics.rate import Rate


def clean_accuracy(answers: Sequence[str | None], truths: Sequence[str]) -> Rate:
    """Return the share of projected answers that equal the true one.

    Args:
        answers: The projected answers; None, where there was none, is wrong.
        truths: The true answers of the same rows.

    Raises:
        ValueError: The two differ in length.
    """
    return Rate.of([answer == truth for answer, truth in zip(answers, truths, strict=True)])
