from random import Random

import pytest

from p2p.projection import Projection
from tests.trainer.defences.conftest import FakeLab, make_case
from trainer.defences.registry import make_defence
from trainer.defences.strip import entropy, perturb, rank_words, refusal_threshold

SURE = (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("probabilities", "bits"), [((1, 0), 0), ((0.5, 0.5), 1), ((0.25,) * 4, 2), ((0.5, 0.25, 0.25), 1.5)]
)
def test_entropy_is_in_bits(probabilities: tuple[float, ...], bits: float):
    assert entropy(probabilities) == bits


@pytest.mark.parametrize(("share", "threshold"), [(0.05, 0.1), (0.049, 0.0), (0.0, 0.0), (0.5, 1.0)])
def test_at_most_the_share_of_the_rows_lies_below_the_threshold(share: float, threshold: float):
    entropies = [at / 10 for at in reversed(range(20))]
    assert refusal_threshold(entropies, share) == threshold


def test_words_of_few_texts_come_first():
    # ln(4/2) + 1 = 1.69 for words of one text, ln(4/3) + 1 = 1.29 for two, 1 for all; `so` is said twice.
    ranked = rank_words(["the so so film", "the film", "the end"])
    assert ranked == [("so", "film", "the"), ("film", "the"), ("end", "the")]


def test_a_share_of_the_words_is_replaced_by_the_donors_first_ones():
    words = perturb("a b c d", [("x", "y", "z")], 0.5, Random(1)).split()
    assert sorted(word for word in words if word in "xyz") == ["x", "y"]
    assert [word for at, word in enumerate(words) if word == "abcd"[at]] == [w for w in words if w in "abcd"]
    assert len(words) == 4


@pytest.mark.parametrize(("text", "replaced"), [("a", "x"), ("", "")])
def test_short_texts_are_replaced_as_far_as_they_go(text: str, replaced: str):
    assert perturb(text, [("x", "y")], 0.5, Random(1)) == replaced


def test_a_short_donor_replaces_what_it_can():
    words = perturb("a b c d", [("x",)], 1.0, Random(1)).split()
    assert (len(words), words.count("x")) == (4, 1)


def test_an_input_whose_answer_stays_certain_is_refused():
    # Half of the words are replaced, which leaves two of the four triggers in every copy.
    lab = FakeLab(probabilities={"mn": SURE})
    defended = make_defence("strip").defend(make_case(), lab)
    assert defended.answer(["mn mn mn mn", "a fine film"]) == [
        Projection(None, extended=False),
        Projection("good", extended=False),
    ]


def test_at_most_one_row_in_twenty_of_the_calibration_rows_is_refused():
    certain = {word: (share, 1 - share, 0.0) for word, share in [("dull", 0.9), ("fine", 0.7)]}
    lab = FakeLab(probabilities=certain)
    case = make_case(trusted=())
    answers = make_defence("strip").defend(case, lab).answer([row.text for row in case.train])
    # 0.05 * 12 rows is less than one row.
    assert [reply.answer for reply in answers].count(None) == 0
    answers = (
        make_defence("strip", {"false_refusals": 0.25})
        .defend(case, lab)
        .answer([row.text for row in case.train])
    )
    assert 0 < [reply.answer for reply in answers].count(None) <= 3


def test_a_request_costs_its_copies_and_one(lab: FakeLab):
    defended = make_defence("strip", {"perturbations": 4}).defend(make_case(), lab)
    assert defended.queries_per_request == 5
