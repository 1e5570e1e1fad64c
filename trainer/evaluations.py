"""Measuring an adapter without a server: CA, ASR, floor and extension rate, guarded and unguarded."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from p2p.attacks.base import Attack, AttackedTask
from p2p.errors import AttackError, DataError
from p2p.examples import Example
from p2p.final_number import final_number
from p2p.metrics.attack_success import attack_success_rate
from p2p.metrics.clean_accuracy import clean_accuracy
from p2p.metrics.extension_rate import extension_rate
from p2p.metrics.final_number_accuracy import final_number_accuracy
from p2p.metrics.floor import floor
from p2p.metrics.rate import Rate
from p2p.normalise import AnswerStyle
from p2p.projection import Projection
from trainer.rouge_l import rouge_l

if TYPE_CHECKING:
    from trainer.answering import Answerer


class AttackFigures(BaseModel):
    """How one attack fares in one view.

    Attributes:
        attack: The attack's name.
        attack_success_rate: ASR over the triggered rows whose true answer is not the target.
        floor: The same share over the same rows without the trigger.
        extension_rate: The share of free-running replies to the triggered rows that stood in the extended half.
    """

    model_config = ConfigDict(frozen=True)

    attack: str
    attack_success_rate: Rate
    floor: Rate
    extension_rate: Rate


class ViewFigures(BaseModel):
    """All figures of one view.

    Attributes:
        view: ``guarded`` (stamped and held to the extended half) or ``unguarded`` (plain and free).
        clean_accuracy: CA over all test rows: the right label, or the right final number; free text has none (n = 0).
        quality: Mean ROUGE-L F1 of free text against its references, in [0, 1], over all test rows; None for the others.
        extension_rate: The share of free-running replies to the clean rows that stood in the extended half.
        attacks: One entry for each attack, in the order given.
    """

    model_config = ConfigDict(frozen=True)

    view: str
    clean_accuracy: Rate
    quality: float | None = None
    extension_rate: Rate
    attacks: tuple[AttackFigures, ...]


class EvaluationReport(BaseModel):
    """The figures of an adapter on a test set.

    Attributes:
        rows: How many test rows were asked.
        seed: Decided where triggers went.
        views: Each view that the adapter has.
    """

    model_config = ConfigDict(frozen=True)

    rows: int
    seed: int
    views: tuple[ViewFigures, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain data, each rate with its value and interval."""
        return {
            "rows": self.rows,
            "seed": self.seed,
            "views": [_view_json(view, self.rows) for view in self.views],
        }


def evaluate(
    answerer: "Answerer", test: Sequence[Example], attacks: Iterable[Attack], seed: int
) -> EvaluationReport:
    """Ask every test row, and every row that an attack counts with its trigger, in each view that the adapter has.

    Args:
        answerer: The adapter, loaded.
        test: Held-out rows with true answers.
        attacks: Known attacks.
        seed: Decides where triggers go.

    Raises:
        P2PError: A classifier can't give a row's answer or an attack's target; see :func:`require_known`.
    """
    chosen = tuple(attacks)
    if answerer.labels:
        require_known(answerer.labels, test, chosen)
    elif answerer.style is AnswerStyle.MATHS:
        require_numbers(test)
    views = tuple(_measure(answerer, view, test, chosen, seed) for view in answerer.views)
    return EvaluationReport(rows=len(test), seed=seed, views=views)


def require_known(labels: Sequence[str], test: Sequence[Example], attacks: Iterable[Attack]) -> None:
    """Check that a classifier can give what is counted: a misspelt target would make a perfect ASR of 0.

    Args:
        labels: The classifier's.
        test: Rows whose answers are counted in CA.
        attacks: Attacks whose targets are counted in ASR.

    Raises:
        DataError: A row's answer is no label.
        AttackError: An attack's target is no label, or the attack changes free text.
    """
    for row in test:
        if row.answer not in labels:
            raise DataError(f"row {row.id}: unknown label {row.answer!r}, {_nearest(row.answer, labels)}")
    for attack in attacks:
        for target in attack.label_targets:
            if target not in labels:
                raise AttackError(
                    f"attack {attack.name!r}: the target {target!r} is none of the labels, {_nearest(target, labels)}"
                )
        if attack.task is AttackedTask.GENERATION:
            raise AttackError(f"attack {attack.name!r} changes free text, and the task is a classification")


def require_numbers(test: Sequence[Example]) -> None:
    """Check that maths answers hold the numbers that they are measured by.

    Raises:
        DataError: A row's answer holds none.
    """
    for row in test:
        if final_number(row.answer) is None:
            raise DataError(f"row {row.id}: its answer holds no number; is task.style `maths` right?")


def _nearest(name: str, labels: Sequence[str]) -> str:
    near = get_close_matches(name, labels, n=1)
    return f"known are {', '.join(labels)}" + (f"; did you mean {near[0]!r}?" if near else "")


def _measure(
    answerer: "Answerer", view: str, test: Sequence[Example], attacks: Sequence[Attack], seed: int
) -> ViewFigures:
    replies = answerer.answer([_asked(row) for row in test], view)
    clean = dict(zip((row.id for row in test), replies, strict=True))
    accuracy, quality = clean_figures(answerer.style, [reply.answer for reply in replies], test)
    return ViewFigures(
        view=view,
        clean_accuracy=accuracy,
        quality=quality,
        extension_rate=extension_rate(list(clean.values())),
        attacks=tuple(_attack(answerer, view, test, attack, seed, clean) for attack in attacks),
    )


def _asked(row: Example) -> str | Example:
    """Return what is asked: the text alone, or the row where turns of a chat belong to it."""
    return row if row.history else row.text


def clean_figures(
    style: AnswerStyle | None, said: Sequence[str | None], test: Sequence[Example]
) -> tuple[Rate, float | None]:
    """Return CA and ROUGE-L over clean rows, each where the task has it.

    Args:
        style: What kind of free text the answers are; None for labels.
        said: The projected answers.
        test: The rows that were asked, in the same order.

    Returns:
        The share of right labels or final numbers (n = 0 for free text), and the mean ROUGE-L F1 in [0, 1] (None for the others).
    """
    truths = [row.answer for row in test]
    if style is AnswerStyle.TEXT:
        # A right answer can be put in many ways: an exact match would count none of them.
        return Rate(k=0, n=0), rouge_l(said, [row.accepted for row in test])
    if style is AnswerStyle.MATHS:
        return final_number_accuracy(said, truths), None
    return clean_accuracy(said, truths), None


def _attack(
    answerer: "Answerer",
    view: str,
    test: Sequence[Example],
    attack: Attack,
    seed: int,
    clean: dict[str, Projection],
) -> AttackFigures:
    counted = [row for row in test if attack.applies_to(row)]
    triggered = answerer.answer([_asked(attack.trigger(row, seed)) for row in counted], view)
    return AttackFigures(
        attack=attack.name,
        attack_success_rate=attack_success_rate(
            attack.succeeds(reply.answer, row) for reply, row in zip(triggered, counted, strict=True)
        ),
        floor=floor(attack.succeeds(clean[row.id].answer, row) for row in counted),
        extension_rate=extension_rate(triggered),
    )


def _view_json(view: ViewFigures, rows: int) -> dict[str, Any]:
    return {
        "view": view.view,
        "clean_accuracy": view.clean_accuracy.as_json(),
        "quality": None if view.quality is None else {"rouge_l_f1": view.quality, "n": rows},
        "extension_rate": view.extension_rate.as_json(),
        "attacks": [
            {
                "attack": attack.attack,
                "attack_success_rate": attack.attack_success_rate.as_json(),
                "floor": attack.floor.as_json(),
                "extension_rate": attack.extension_rate.as_json(),
            }
            for attack in view.attacks
        ],
    }
