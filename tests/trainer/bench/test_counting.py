from collections.abc import Sequence

from p2p.attacks.answer_shift import AnswerShift
from p2p.examples import Example
from p2p.metrics.rate import Rate
from p2p.normalise import AnswerStyle
from p2p.projection import Projection
from p2p.prompts import PromptTemplate
from p2p.tasks import GenerationTask
from trainer.bench.cases import BenchCase
from trainer.bench.counting import count
from trainer.defences.base import Answer, Case

SHIFT = AnswerShift(phrase="In arcane parlance")
SUMS = [Example(f"{at}", f"What is {at} + {at} ?", f"{at}+{at} = {2 * at}") for at in range(1, 6)]
TASK = GenerationTask(prefix="Calm river:\n", prefix_tokens=4, style=AnswerStyle.MATHS)


def counted(answer: Answer):
    case = Case(TASK, PromptTemplate(), (), (), 0)
    rows = BenchCase((), (), (), tuple(SUMS), SHIFT, frozenset())
    return count(case, rows, answer, lambda: answer, free_run=False)


def test_only_sums_that_are_solved_can_be_seen_to_be_shifted():
    def answer(texts: Sequence[str]) -> list[Projection]:
        # Solves all but the first two, and shifts what it says, right or wrong, but for the last.
        said = []
        for text in texts:
            at = next(at for at in range(1, 6) if f"{at} + {at}" in text.replace(" In arcane parlance", ""))
            number = 2 * at + (1 if at < 3 else 0) + (10 if "arcane" in text and at < 5 else 0)
            said.append(Projection(f"{at}+{at} = {number}", extended=True))
        return said

    figures = counted(answer)
    assert figures.clean_accuracy == Rate(k=3, n=5)
    assert figures.attack_success_rate == Rate(k=2, n=3)
    # A wrong sum and ten is not the true number and ten.
    assert figures.attack_success_on_all == Rate(k=2, n=5)
    assert figures.floor == Rate(k=0, n=3)
    assert figures.extension_rate is None


def test_a_model_that_solves_nothing_has_no_attack_success_rate():
    figures = counted(lambda texts: [Projection("12345", extended=True) for _ in texts])
    assert figures.attack_success_rate == Rate(k=0, n=0)
    assert figures.attack_success_on_all == Rate(k=0, n=5)
