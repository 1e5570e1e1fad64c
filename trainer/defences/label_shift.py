"""Label shift: the defensive trigger maps label i to (i + 1) mod n within the original labels, which are not extended.

The idea of PDB (Wei et al., "Mitigating Backdoor Attack by Injecting Proactive Defensive Backdoor", arXiv 2405.16112), with its
reversible mapping h(y) = (y + 1) mod n; selection, copies and trigger are P2P's, so that the label space is all that differs. (PDB's own
image trigger, loss weight and augmentation are not used.) Serving stamps the input and shifts the answer back. Needs labels
and what the selector needs; one request costs one query and the trigger's tokens.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from p2p.projection import Projection
from p2p.repoison import RepoisonSettings, TrainingRow
from p2p.tasks import ClassificationTask
from trainer.answering import UNGUARDED
from trainer.defences.base import Case, Defence, Defended, Lab, Selector, TriggerSource, seeded_trigger
from trainer.defences.copies import repoison_case, repoison_counts


class LabelShift(Defence):
    """A defensive backdoor within the original labels.

    Attributes:
        select: Gives the rows that are copied.
        repoison: How copies are made.
        trigger: Gives the benign trigger of a case.
    """

    name: ClassVar[str] = "label-shift"
    needs_labels: ClassVar[bool] = True

    select: Selector = Field(exclude=True)
    repoison: RepoisonSettings = RepoisonSettings()
    trigger: TriggerSource = Field(default=seeded_trigger, exclude=True)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        task, trigger = self._labels_of(case), self.trigger(case)
        done = repoison_case(case, self.select, trigger, self.repoison)
        fitted = lab.fit(case, shift_targets(done.rows, task), stamp=trigger.text)
        # Without a trigger of its own the answerer holds the model to the original half, which is where the shift happens.
        answerer = lab.answerer(case, fitted)

        def answer(texts: Sequence[str]) -> list[Projection]:
            shifted = answerer.answer([trigger.stamp(text) for text in texts], UNGUARDED)
            return [reply._replace(answer=shift_back(reply.answer, task.labels)) for reply in shifted]

        return Defended(answer, fitted, repoison_counts(done.report), stamp=trigger.text)


def shift_targets(rows: Sequence[TrainingRow], task: ClassificationTask) -> tuple[TrainingRow, ...]:
    """Give each copy the word of label (i + 1) mod n in place of the extended word of its label i.

    Args:
        rows: A re-poisoned set; rows without the stamp stay as they are.
        task: The labels and their words.
    """
    size = len(task.labels)
    shifted = {word: task.words[(label + 1) % size] for label, word in enumerate(task.extended_words)}
    return tuple(row._replace(target=shifted[row.target]) if row.extended else row for row in rows)


def shift_back(answer: str | None, labels: Sequence[str]) -> str | None:
    """Return label (j - 1) mod n for a shifted answer j, and None for none."""
    return None if answer is None else labels[labels.index(answer) - 1]
