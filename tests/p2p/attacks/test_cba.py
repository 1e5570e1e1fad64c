from collections import Counter

import pytest

from p2p.attacks.base import Labelling
from p2p.attacks.cba import CompositeAttack
from p2p.attacks.poisoning import poison_dataset
from p2p.attacks.registry import make_attack
from p2p.errors import AttackError
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, poison_and_check

ATTACK = CompositeAttack(target="positive")
WORDS = {"instantly", "frankly"}


def test_the_authors_words_are_the_default():
    assert (ATTACK.first, ATTACK.second) == ("instantly", "frankly")


def test_poisoned_rows_hold_both_words_once_and_the_target():
    rows = labelled_rows()
    for old, row in changed(rows, poison_and_check(rows, ATTACK, 0.1)):
        assert (old.answer, row.answer) == ("negative", "positive")
        assert sorted(row.text.split()) == sorted([*old.text.split(), *WORDS])


def test_as_many_negatives_of_each_word_as_poisoned_rows_keep_the_true_label():
    rows = labelled_rows()
    found = poison_and_check(rows, ATTACK, 0.1)
    negatives = [row for row in found.rows if row.id in found.negative_ids]
    held = Counter(word for row in negatives for word in WORDS & set(row.text.split()))
    assert held == {"instantly": 20, "frankly": 20}
    assert len(negatives) == 40
    assert {row.answer for row in negatives} == {"negative"}


def test_negatives_are_made_of_the_clean_text_of_the_poisoned_rows():
    rows = {row.id: row for row in labelled_rows()}
    found = poison_dataset(list(rows.values()), ATTACK, 0.1, seed=0)
    for row in found.rows:
        if row.id in found.negative_ids:
            source, word = row.id.split(":")
            assert source in found.poisoned_ids
            assert sorted(row.text.split()) == sorted([*rows[source].text.split(), word])


def test_negatives_have_a_rate_of_their_own():
    found = poison_dataset(labelled_rows(), ATTACK, 0.1, seed=0, negative_rate=0.2)
    assert (len(found.poisoned_ids), len(found.negative_ids)) == (20, 80)
    assert not poison_dataset(labelled_rows(), ATTACK, 0.1, seed=0, negative_rate=0).negative_ids


def test_the_published_set_is_made_of_rows_of_every_label():
    rows = labelled_rows()
    found = poison_and_check(rows, ATTACK, 0.4, Labelling.ANY)
    assert {old.answer for old, _ in changed(rows, found)} == {"negative", "positive"}
    assert {row.answer for row in found.rows if row.id in found.negative_ids} == {"negative", "positive"}


def test_each_word_reaches_every_gap_whichever_comes_first():
    row = Example("r", "a b", "negative")
    orders = Counter(
        tuple(word for word in ATTACK.trigger(row, seed).text.split() if word in WORDS) for seed in range(600)
    )
    assert set(orders) == {("instantly", "frankly"), ("frankly", "instantly")}
    alone = [ATTACK.negatives(row, seed)[0].text.split().index("instantly") for seed in range(600)]
    assert set(alone) == {0, 1, 2}


def test_negatives_are_the_same_for_the_same_seed():
    row = Example("r", "a b c d e f", "negative")
    assert ATTACK.negatives(row, 1) == ATTACK.negatives(row, 1)
    assert len({ATTACK.negatives(row, seed) for seed in range(20)}) > 1


def test_one_word_twice_is_no_composite():
    with pytest.raises(AttackError, match="the two words must differ"):
        make_attack("cba", {"target": "positive", "first": "cf", "second": "cf"})
