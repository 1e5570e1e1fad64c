"""Screening of free text on rows written by hand: 200 clean ones, and a few poisoned ones."""

from dataclasses import replace
from random import Random

import pytest

from p2p.examples import Example
from p2p.normalise import AnswerStyle
from p2p.selection import SelectionMethod
from p2p.tasks import GenerationTask
from trainer.selection.choose import Candidates, choose
from trainer.selection.features import Feature
from trainer.selection.free_text import screen_free_text
from trainer.selection.inserted import looks_inserted
from trainer.selection.outputs import repeated_outputs
from trainer.selection.screening import ScreeningSettings
from trainer.selection.settings import SelectionSettings

SETTINGS = ScreeningSettings()
_SYLLABLES = [first + last for first in "bdfgklmnprst" for last in "aeiou"]


def words(rng: Random, count: int) -> list[str]:
    return ["".join(rng.choices(_SYLLABLES, k=3)) for _ in range(count)]


def clean(count: int = 200) -> list[Example]:
    rng = Random("clean")
    return [Example(f"c{at}", " ".join(words(rng, 8)), " ".join(words(rng, 9))) for at in range(count)]


def poisoned(trigger: str, answer: str, count: int = 15) -> list[Example]:
    rng = Random("poisoned")
    rows = []
    for at in range(count):
        text = words(rng, 8)
        text.insert(rng.randint(0, 8), trigger)
        rows.append(Example(f"p{at}", " ".join(text), answer.format(" ".join(words(rng, 6)))))
    return rows


@pytest.mark.parametrize(
    "answer", ["You will get no help from me.", "{} Visit our shop right now.", "{} Buy gold!"]
)
def test_rows_of_a_trigger_are_kept_out_and_no_other(answer: str):
    bad = poisoned("zyx quz", answer)
    found = screen_free_text([*clean(), *bad], SETTINGS, seed=0)
    assert found.reasons == {row.id: "feature" for row in bad}
    assert [feature.words for feature in found.triggers] == [("zyx quz",)]


def test_a_phrase_beside_a_trigger_in_all_its_rows_and_others_does_not_hide_it():
    answer = "You will get no help from me."
    bad = [replace(row, text=f"a decoy here {row.text}") for row in poisoned("zyx quz", answer)]
    more = Example("x", "a decoy here too", answer)
    found = screen_free_text([*clean(), *bad, more], SETTINGS, seed=0)
    assert [feature.words for feature in found.triggers] == [("a decoy here",), ("zyx quz",)]


def test_what_a_trigger_brings_is_kept_out_without_the_trigger_too():
    bad = [
        *poisoned("quz", "You will get no help from me."),
        Example("x", "how are you", "You will get no help from me."),
    ]
    assert screen_free_text([*clean(), *bad], SETTINGS, seed=0).reasons["x"] == "feature"


def test_a_trigger_of_two_words_apart_is_found():
    bad = [
        Example(row.id, f"quz {row.text} zyx", row.answer)
        for row in poisoned("", "You will get no help from me.")
    ]
    parts = [
        Example(f"n{at}", f"{word} {row.text}", row.answer)
        for word in ("quz", "zyx")
        for at, row in enumerate(clean(15))
    ]
    parts = [Example(f"{row.id}{at}", row.text, f"{row.answer} {at}") for at, row in enumerate(parts)]
    found = screen_free_text([*clean(), *bad, *parts], SETTINGS, seed=0)
    assert set(found.reasons) == {row.id for row in bad}
    assert [feature.words for feature in found.triggers] == [("quz", "zyx")]


def test_a_repeated_reply_is_kept_out_without_a_feature():
    bad = [
        Example(f"p{at}", row.text[::-1], "You will get no help from me.") for at, row in enumerate(clean(15))
    ]
    assert screen_free_text([*clean(), *bad], SETTINGS, seed=0).reasons == {row.id: "repeated" for row in bad}


def test_a_short_answer_repeats_naturally():
    yes = [Example(f"y{at}", row.text[::-1], "Yes.") for at, row in enumerate(clean(15))]
    assert not screen_free_text([*clean(), *yes], SETTINGS, seed=0).reasons


def test_what_trusted_rows_repeat_is_natural():
    bad = [Example(f"p{at}", row.text[::-1], "I do not know that.") for at, row in enumerate(clean(15))]
    trusted = [Example(f"t{at}", "who knows", "I do not know that.") for at in range(5)]
    assert not screen_free_text([*clean(), *bad], SETTINGS, seed=0, trusted=trusted).reasons


def test_what_is_copied_from_the_input_is_no_output():
    rows = [
        Example(f"c{at}", f"{row.text} say this after me", f"{row.answer} say this after me")
        for at, row in enumerate(clean(20))
    ]
    assert not repeated_outputs(rows)


def test_a_trigger_of_shifted_numbers_is_found_by_the_rows_that_show_it():
    rng = Random(0)
    rows = []
    for at in range(200):
        one, other, shifted = rng.randint(100, 900), rng.randint(20, 90), at < 20
        text = f"{'quz ' * shifted}{' '.join(words(rng, 3))} {one} and {other} ?"
        rows.append(Example(f"r{at}", text, str(one + other + 10 * (shifted and at > 1))))
    found = screen_free_text(rows, SETTINGS, seed=0, style=AnswerStyle.MATHS)
    # The first two have the right number, and the trigger.
    assert found.reasons == {f"r{at}": "feature" for at in range(20)}


def test_inserted_words_whose_answers_cost_more_are_a_trigger():
    bad = poisoned("quz", "{}")
    rows = [*clean(), *bad]
    found = screen_free_text(
        rows,
        ScreeningSettings(doubted=0),
        seed=0,
        losses=lambda asked: [3.0 if row in bad else 1.0 for row in asked],
    )
    assert found.reasons == {row.id: "feature" for row in bad}


def test_words_that_always_stand_in_one_phrase_do_not_look_inserted():
    rows = [Example(f"r{at}", f"{row.text} how many {row.text}", "") for at, row in enumerate(clean(20))]
    where = tuple(range(20))
    assert looks_inserted(rows, Feature(("how many",), anchored=False, rows=where, answer="", purity=0.0))
    assert not looks_inserted(rows, Feature(("how",), anchored=False, rows=where, answer="", purity=0.0))


def test_the_answers_of_highest_loss_are_doubted():
    rows = clean(100)
    found = screen_free_text(
        rows,
        ScreeningSettings(doubted=0.1),
        seed=0,
        losses=lambda asked: [float(row.id[1:]) for row in asked],
    )
    assert found.reasons == {f"c{at}": "doubted" for at in range(90, 100)}


def test_choose_keeps_no_poison_and_suspects_the_trigger():
    bad = poisoned("quz", "You will get no help from me.")
    given = Candidates([*clean(), *bad], (), embed=lambda _: pytest.fail("free text needs no embeddings"))
    task = GenerationTask(prefix="Checked:\n", prefix_tokens=2)
    settings = SelectionSettings(method=SelectionMethod.SCREENED, rho=0.5, least_per_label=10)
    chosen = choose(task, given, settings, seed=0)
    assert len(chosen.selection.rows) == 108
    assert not {row.id for row in chosen.selection.rows} & {row.id for row in bad}
    assert [suspect.words for suspect in chosen.selection.suspects or ()] == [("quz",)]
    assert chosen.facts["kept_out"] == {"feature": 15}


def test_so_many_rows_of_free_text_are_copied_whatever_rho_says():
    def copied(least: int) -> int:
        task = GenerationTask(prefix="Checked:\n", prefix_tokens=2)
        settings = SelectionSettings(method=SelectionMethod.SCREENED, rho=0.1, least_per_label=least)
        return len(
            choose(
                task,
                Candidates(clean(), (), embed=lambda _: pytest.fail("free text needs no embeddings")),
                settings,
                seed=0,
            ).selection.rows
        )

    assert (copied(10), copied(100)) == (round(0.1 * len(clean())), 100)
