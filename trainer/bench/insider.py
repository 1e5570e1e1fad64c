"""An attacker who knows the words of the extended half, or the prefix p, and answers his rows with them.

No file of rows can hold such labels, whose words are not in it; so the rows are changed on their way to the training. It is the
worst case: everything but the defender's choice of rows is known to the attacker.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from p2p.repoison import TrainingRow
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger
from trainer.answering import Answerer
from trainer.defences.base import Case, Fitted, Lab

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class InsiderLab:
    """A lab whose trainings get the attacker's rows with answers of the extended half; the rest is another lab's.

    Args:
        lab: The lab behind it.
        ids: The attacker's rows.
    """

    def __init__(self, lab: Lab, ids: frozenset[str]) -> None:
        self._lab = lab
        self._ids = ids

    def fit(self, case: Case, rows: Sequence[TrainingRow], **options: Any) -> Fitted:  # noqa: ANN401 - the lab's own
        """Train an adapter on rows, the attacker's among them as he wants them."""
        changed = [
            row._replace(target=extended_target(row.target, case.task))
            if row.id in self._ids and not row.extended
            else row
            for row in rows
        ]
        return self._lab.fit(case, changed, **options)

    def answerer(self, case: Case, fitted: Fitted | None, trigger: BenignTrigger | None = None) -> Answerer:
        """Return the base model with an adapter on it."""
        return self._lab.answerer(case, fitted, trigger)

    def embed(self, case: Case, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return the frozen base model's embedding of each text."""
        return self._lab.embed(case, texts)

    def perplexities(self, texts: Sequence[str]) -> list[float]:
        """Return the base model's perplexity of each text."""
        return self._lab.perplexities(texts)


def extended_target(target: str, task: ClassificationTask | GenerationTask) -> str:
    """Return what the extended half says for what the original half says.

    Args:
        target: A label's original word, or a reference answer.
        task: The words of both halves, or the prefix p.
    """
    if isinstance(task, ClassificationTask):
        return task.words[task.space.extend(task.words.index(target))]
    return task.target_text(target, extended=True)
