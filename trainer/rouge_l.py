"""ROUGE-L: how much of a reference an answer says, in the same order.

Source: C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL workshop 2004; computed by ``rouge-score``
with Porter's stemmer, as the package of the paper does with ``-m``. It lives here, because that library is heavy to import.
"""

from collections.abc import Sequence
from statistics import fmean


def rouge_l(answers: Sequence[str | None], references: Sequence[Sequence[str]]) -> float | None:
    """Return the mean ROUGE-L F1 over rows; see :func:`rouge_l_scores`.

    Args:
        answers: The projected answers.
        references: The references of the same rows.

    Returns:
        A mean in [0, 1]; None when there are no rows.

    Raises:
        ValueError: The two differ in length, or a row has no reference.
    """
    scores = rouge_l_scores(answers, references)
    return fmean(scores) if scores else None


def rouge_l_scores(answers: Sequence[str | None], references: Sequence[Sequence[str]]) -> list[float]:
    """Return the ROUGE-L F1 of each row against the reference that suits it best.

    Words are runs of a-z and 0-9; text in other scripts has none and scores 0.

    Args:
        answers: The projected answers; None, where there was none, scores 0.
        references: The references of the same rows, at least one each.

    Returns:
        One score in [0, 1] a row.

    Raises:
        ValueError: The two differ in length, or a row has no reference.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return [
        max(float(scorer.score(reference, answer or "")["rougeL"].fmeasure) for reference in wanted)
        for answer, wanted in zip(answers, references, strict=True)
    ]
