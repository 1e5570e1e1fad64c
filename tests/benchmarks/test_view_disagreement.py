import pytest

from benchmarks.view_disagreement import Asker, Compared, Cost, measure
from p2p.attacks.registry import make_attack
from p2p.examples import Example

ROWS = [
    Example(id="1", text="good film", answer="positive"),
    Example(id="2", text="bad film", answer="negative"),
    Example(id="3", text="dull film", answer="negative"),
]


def by_word(texts):
    """Two of three clean rows agree; the trigger shows in one of the two rows that can have it."""
    return [Compared("dull" in text, 0.9 if "mn" in text else 0.1) for text in texts]


def test_the_figures_are_those_of_a_count_by_hand():
    attack = make_attack("badnets", {"word": "mn", "target": "positive"})
    figures = measure(Asker(by_word, lambda _: Cost(0.1, 0.2)), ROWS, attack, seed=0, timed=1)
    # Found: row 3 with the trigger. False: row 3 without. Triggered: rows 2 and 3.
    assert (figures["recall"]["k"], figures["recall"]["n"]) == (1, 2)
    assert (figures["precision"]["k"], figures["precision"]["n"]) == (1, 2)
    assert (figures["false_positive_rate"]["k"], figures["false_positive_rate"]["n"]) == (1, 3)
    assert figures["auroc"] == pytest.approx(1.0)
