"""Spellings that come with one label too often; counted by hand."""

from collections.abc import Callable

import pytest

from p2p.examples import Example
from tests.trainer.selection.synthetic import make_clean, put_second, relabel, rows_of
from trainer.selection.features import Feature, FeatureSettings
from trainer.selection.screening import ScreeningSettings, screen
from trainer.selection.spellings import spellings, written_so

CLEAN = make_clean()
POISONED = rows_of(CLEAN, "no", 30)
FEW = FeatureSettings(min_rows=3)


def second(change: Callable[[str], str]) -> Callable[[str], str]:
    def write(text: str) -> str:
        words = text.split()
        return " ".join([words[0], change(words[1]), *words[2:]])

    return write


def two_spaces(text: str) -> str:
    return text.replace(" ", "  ", 1)


def rows(*each: tuple[str, str]) -> list[Example]:
    return [Example(str(at), text, answer) for at, (text, answer) in enumerate(each)]


CHANGES = {
    "zero width": second(lambda word: f"{word[0]}\u200b{word[1:]}"),
    "homograph": second(lambda word: word.replace("w", "\u0461")),
    "capitals": second(str.upper),
    "beginning": second(lambda word: f"un{word}"),
    "end": second(lambda word: f"{word}ish"),
    "punctuation": second(lambda word: f"{word}!!"),
    "white space": two_spaces,
    "space of another kind": lambda text: text.replace(" ", "\u00a0", 1),
    "white space before": lambda text: f" {text}",
    "white space behind": lambda text: f"{text}\n",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_spelling_is_found_with_its_rows_whichever_word_has_it(change: Callable[[str], str]):
    found = spellings(relabel(CLEAN, POISONED, "yes", change).rows, FeatureSettings())
    assert tuple(POISONED) in [feature.rows for feature in found]
    assert {feature.answer for feature in found} == {"yes"}
    assert all(feature.spelled for feature in found)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_rows_relabelled_for_a_spelling_are_kept_out(change: Callable[[str], str]):
    made = relabel(CLEAN, POISONED, "yes", change)
    found = screen(made.rows, made.embeddings, ScreeningSettings(doubted=0), 0)
    assert {row for row, why in found.reasons.items() if why == "feature"} == {
        made.rows[at].id for at in POISONED
    }


def test_random_words_have_no_pure_spelling():
    assert spellings(CLEAN.rows, FeatureSettings()) == []


def test_the_words_are_those_that_are_written_so():
    asked = rows(("a GOOD one", "yes"), ("a BAD one", "yes"), ("AN old one", "yes"), ("no such", "no"))
    found = spellings(asked, FEW)
    assert [feature.words for feature in found] == [("shape A",)]
    assert written_so(asked, found[0]) == Feature(
        ("GOOD", "BAD", "AN"), anchored=False, rows=(0, 1, 2), answer="yes", purity=1.0, spelled=True
    )


def test_a_spelling_that_is_one_word_is_left_to_runs():
    made = relabel(CLEAN, POISONED, "yes", put_second("x~x"))
    (found,) = {feature.rows for feature in spellings(made.rows, FeatureSettings())}
    assert found == tuple(POISONED)
    assert {written_so(made.rows, feature) for feature in spellings(made.rows, FeatureSettings())} == {None}


def test_a_spelling_of_both_labels_is_not_pure():
    made = relabel(CLEAN, rows_of(CLEAN, "no", 30), "no", CHANGES["capitals"])
    made = relabel(made, rows_of(made, "yes", 30), "yes", CHANGES["capitals"])
    assert spellings(made.rows, FeatureSettings()) == []


def test_letters_of_one_script_are_one_spelling():
    texts = [("g\u043e", "yes"), ("th\u0435", "yes"), ("\u0440ut", "yes"), ("plain", "no")]
    (found,) = [each for each in spellings(rows(*texts), FEW) if each.words == ("script CYRILLIC",)]
    told = written_so(rows(*texts), found)
    assert told is not None
    assert told.words == ("g\u043e", "th\u0435", "\u0440ut")


def test_a_long_run_of_letters_takes_no_longer_than_others():
    """The white space between words is looked for once a word: backtracking would take minutes here."""
    long = rows(*[(f"{200_000 * 'x'} {at}", "yes") for at in range(3)])
    assert spellings(long, FEW)


def test_a_natural_spelling_that_is_believed_stays_in_and_is_not_suspected():
    made = relabel(CLEAN, rows_of(CLEAN, "yes", 40), "yes", CHANGES["end"])
    found = screen(made.rows, made.embeddings, ScreeningSettings(doubted=0), 0)
    assert (found.reasons, found.triggers, found.pure) == ({}, (), ())


def test_reports_tell_the_kind_and_not_the_words():
    feature = Feature(("GOOD", "BAD"), anchored=False, rows=(0, 1), answer="yes", purity=1.0, spelled=True)
    assert feature.name == "spelling in 2 rows"
