"""Pairs of words that are pure where neither is: against counting them one by one."""

from collections import Counter
from itertools import combinations
from random import Random

import pytest

from p2p.examples import Example
from trainer.selection import pairs
from trainer.selection.pairs import pure_pairs

LABELS = ("a", "b", "c")


def make_rows(count: int = 300, words: int = 30) -> list[Example]:
    """Return rows of frequent words; two pairs come with a label, some punctuation and a word of nearly every row stand among them."""
    rng = Random(7)
    vocabulary = [f"W{number}" for number in range(words)] + ["!!", "--"]
    rows = []
    for at in range(count):
        chosen = rng.sample(vocabulary, 6)
        answer = rng.choice(LABELS)
        if {"W1", "W2"} <= set(chosen):
            answer = "a"
        if {"W3", "W4"} <= set(chosen) and rng.random() < 0.9:
            answer = "b"
        rows.append(Example(str(at), " ".join([*chosen, "The"]), answer))
    return rows


def one_by_one(rows: list[Example], least: int, purity: float) -> dict[tuple[str, str], list[int]]:
    """Count every pair of every row, as the sentence that says what a pure pair is has it."""
    held = [{word.lower() for word in row.text.split()} for row in rows]

    def is_pure(where: list[int]) -> bool:
        return Counter(rows[at].answer for at in where).most_common(1)[0][1] >= purity * len(where)

    where_of = {word: [at for at, words in enumerate(held) if word in words] for word in set().union(*held)}
    usable = sorted(
        word
        for word, where in where_of.items()
        if least <= len(where) <= len(rows) / 2 and not is_pure(where) and any(map(str.isalnum, word))
    )
    found = {pair: sorted({*where_of[pair[0]]} & {*where_of[pair[1]]}) for pair in combinations(usable, 2)}
    return {pair: where for pair, where in found.items() if len(where) >= least and is_pure(where)}


@pytest.mark.parametrize("least", [3, 8])
@pytest.mark.parametrize("at_once", [1, 3 * 32 * 5, 2**22], ids=["one by one", "in blocks", "all at once"])
def test_every_pure_pair_is_found_with_its_rows_whatever_is_counted_at_once(
    least: int, at_once: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pairs, "_COUNTS_AT_ONCE", at_once)
    rows = make_rows()
    expected = one_by_one(rows, least, 0.8)
    assert {("w1", "w2"), ("w3", "w4")} <= set(expected)
    assert dict(pure_pairs(rows, least, 0.8)) == expected


def test_rows_without_a_word_in_common_have_no_pair():
    rows = [Example(str(at), f"x{at} y{at}", LABELS[at % 2]) for at in range(20)]
    assert list(pure_pairs(rows, 2, 0.9)) == []
