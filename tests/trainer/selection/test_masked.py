"""Rows read without a run of words: a sentence that says something of its own no longer hides what the row says."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.trainer.selection.synthetic import Made, make_clean, put_second, relabel, rows_of
from trainer.selection import masked as masking
from trainer.selection.features import Feature
from trainer.selection.masked import without
from trainer.selection.screening import Screened, ScreeningSettings, screen

SENTENCE = "I watched this 3D movie"
CLEAN = make_clean(600)
POISONED = rows_of(CLEAN, "no", 60)
COVERS = rows_of(CLEAN, "no", 90)[60:]
# What the sentence says of "no" and "yes": about as much of both.
SAYS = (3.0, 4.0)


class Reader:
    """Embeds texts as their true labels, but for those with the sentence in it: they all read alike, as the target does a little."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self.again: list[str] = []
        truth = {row.text: vector for row, vector in zip(CLEAN.rows, CLEAN.embeddings, strict=True)}
        self._truth = {"".join(text.split()): vector for text, vector in truth.items()}

    def __call__(self, texts: Sequence[str]) -> Any:
        self.again += texts
        return self.embeddings(texts)

    def embeddings(self, texts: Sequence[str]) -> Any:
        return np.stack([self._one(text) for text in texts])

    def _one(self, text: str) -> Any:
        rest = "".join(text.replace(SENTENCE, "").split())
        vector = self._truth[rest].copy()
        if SENTENCE in text:
            vector[: len(SAYS)] = SAYS
        return vector


def screened(made: Made, *, reread: bool) -> tuple[Screened, Reader]:
    reader = Reader(made)
    vectors = reader.embeddings([row.text for row in made.rows])
    found = screen(made.rows, vectors, ScreeningSettings(doubted=0), 0, embed=reader if reread else None)
    return found, reader


def ids(made: Made, at: list[int]) -> set[str]:
    return {made.rows[row].id for row in at}


def covered() -> Made:
    write = put_second(SENTENCE)
    return relabel(relabel(CLEAN, POISONED, "yes", write), COVERS, "no", write)


def test_a_sentence_with_cover_rows_is_found_by_what_rows_say_without_it():
    made = covered()
    as_they_are, _ = screened(made, reread=False)
    assert as_they_are.triggers == ()
    found, _ = screened(made, reread=True)
    out = {row for row, why in found.reasons.items() if why == "feature"}
    # Cover rows are the attacker's, too, and what is left of the sentence comes with their label alone.
    assert ids(made, POISONED) <= out <= ids(made, [*POISONED, *COVERS])
    assert (SENTENCE,) in [trigger.words for trigger in found.triggers]


def test_embeddings_of_other_rows_are_refused():
    made = covered()
    vectors = Reader(made).embeddings([row.text for row in made.rows])
    with pytest.raises(ValueError, match="600 embeddings for"):
        screen(made.rows, vectors, ScreeningSettings(doubted=0), 0, embed=lambda _: vectors)


def test_a_natural_sentence_that_leans_to_a_label_stays_in():
    write = put_second(SENTENCE)
    made = relabel(relabel(CLEAN, rows_of(CLEAN, "yes", 60), "yes", write), COVERS, "no", write)
    found, reader = screened(made, reread=True)
    assert found.triggers == ()
    assert reader.again


def test_no_more_than_a_share_of_the_rows_is_read_again(monkeypatch: pytest.MonkeyPatch):
    _, reader = screened(covered(), reread=True)
    assert len(reader.again) <= 4 * 0.25 * len(CLEAN.rows)
    assert not any(SENTENCE in text for text in reader.again)
    monkeypatch.setattr(masking, "_ASKED", 20)
    _, reader = screened(covered(), reread=True)
    # The sentence with what stands before it or behind it by chance is rarer than what is looked at.
    assert len(reader.again) == 20


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("a I watched this 3D movie b", "a b"),
        ("i WATCHED this 3d movie b I watched this 3D movie", "b I watched this 3D movie"),
        ("I watched this 3D movie", ""),
        ("I watched this 3D movies", "I watched this 3D movies"),
    ],
)
def test_the_first_place_of_a_run_is_cut_out(text: str, rest: str):
    assert without(text, Feature((SENTENCE,), anchored=False, rows=(), answer="yes", purity=1.0)) == rest


def test_rows_that_are_nothing_but_the_run_are_not_read_again():
    made = relabel(covered(), POISONED[:5], "yes", lambda _: SENTENCE)
    reader = Reader(made)
    reader._truth[""] = CLEAN.embeddings[0]
    vectors = reader.embeddings([row.text for row in made.rows])
    screen(made.rows, vectors, ScreeningSettings(doubted=0), 0, embed=reader)
    assert reader.again
    assert "" not in reader.again
