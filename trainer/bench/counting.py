"""What is counted of a defence's answers to clean and triggered rows: CA, ASR, floor, extension rate, ROUGE-L."""

from collections.abc import Callable, Sequence
from itertools import compress
from statistics import fmean

from p2p.attacks.base import Attack
from p2p.examples import Example
from p2p.metrics.attack_success import attack_success_rate
from p2p.metrics.extension_rate import extension_rate
from p2p.metrics.final_number_accuracy import same_final_number
from p2p.metrics.floor import floor
from p2p.metrics.mean import bootstrap_interval
from p2p.metrics.rate import Rate
from p2p.normalise import AnswerStyle
from p2p.projection import Projection
from p2p.tasks import ClassificationTask
from trainer.bench.cases import BenchCase
from trainer.bench.results import Figures
from trainer.defences.base import Answer, Case
from trainer.evaluations import clean_figures
from trainer.rouge_l import rouge_l_scores


def count(
    case: Case, rows: BenchCase, answer: Answer, never_poisoned: Callable[[], Answer], *, free_run: bool
) -> Figures:
    """Ask clean and triggered rows, and count the answers.

    Args:
        case: What the defender has.
        rows: The test rows and the attack.
        answer: Answers texts as the defended model does.
        never_poisoned: Gives what answers as a model that was never poisoned; called where the trigger rewrites the whole input.
        free_run: Whether there are two halves, and a model that chooses between them.
    """
    clean = answer([row.text for row in rows.test])
    attack = rows.attack
    figures = _clean(case, clean, rows.test, attack)
    if attack is None:
        return figures
    counted = [at for at, row in enumerate(rows.test) if attack.applies_to(row)]
    targets = [rows.test[at] for at in counted]
    own = [clean[at] for at in counted]
    asked = [attack.trigger(row, case.seed).text for row in targets]
    replies = answer(asked)
    untriggered = never_poisoned()(asked) if attack.rewrites_whole else own
    succeeded, unprovoked = (_successes(attack, said, targets) for said in (replies, untriggered))
    maths = _style(case) is AnswerStyle.MATHS
    # An answer that is not found can't be seen to be shifted.
    seen = [
        not maths or same_final_number(said.answer, row.answer)
        for said, row in zip(own, targets, strict=True)
    ]
    return figures.model_copy(
        update={
            "attack_success_rate": attack_success_rate(compress(succeeded, seen)),
            "attack_success_on_all": attack_success_rate(succeeded) if maths else None,
            "floor": floor(compress(unprovoked, seen)),
            "extension_rate": extension_rate(replies) if free_run else None,
        }
    )


def _style(case: Case) -> AnswerStyle | None:
    return None if isinstance(case.task, ClassificationTask) else case.task.style


def _clean(
    case: Case, replies: Sequence[Projection], test: Sequence[Example], attack: Attack | None
) -> Figures:
    """Return the figures of clean rows."""
    said = [reply.answer for reply in replies]
    style = _style(case)
    if style is not AnswerStyle.TEXT:
        return Figures(clean_accuracy=clean_figures(style, said, test)[0])
    # Free text has no one right answer; what can be counted is that the attacker's does not come of itself.
    attacked = _successes(attack, replies, test) if attack else []
    scores = rouge_l_scores(said, [row.accepted for row in test])
    return Figures(
        clean_accuracy=Rate.of([not each for each in attacked]),
        quality=fmean(scores) if scores else None,
        quality_interval=bootstrap_interval(scores),
    )


def _successes(attack: Attack, replies: Sequence[Projection], rows: Sequence[Example]) -> list[bool]:
    return [attack.succeeds(reply.answer, row) for reply, row in zip(replies, rows, strict=True)]
