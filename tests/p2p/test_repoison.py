from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from p2p.attacks.badnets import BadNets
from p2p.attacks.poisoning import Labelling, poison_dataset
from p2p.chats import Turn
from p2p.errors import AttackError, SelectionError
from p2p.examples import Example
from p2p.repoison import RepoisonSettings, find_suspects, repoison
from p2p.selection import Selection, SelectionMethod, Suspect, select_random, select_trusted
from p2p.tasks import ClassificationTask
from p2p.triggers import BenignTrigger, Placement

TASK = ClassificationTask(
    labels=("no", "yes"), words=tuple("0123"), token_ids=(0, 1, 2, 3), answer_context=""
)
TRIGGER = BenignTrigger(text="Amber harbor keeps quiet lantern: ")
WORDS = ["red", "green", "blue", "round", "small", "heavy", "open", "quick"]


def rows(count: int, name: str) -> list[Example]:
    rng = Random(name)
    texts = [" ".join(rng.choices(WORDS, k=6)) for _ in range(count)]
    return [Example(f"{name}-{at}", f"{text} {at}", ("no", "yes")[at % 2]) for at, text in enumerate(texts)]


POISONED = poison_dataset(rows(400, "train"), BadNets(word="mn", target="yes"), 0.1, seed=0)
TRUSTED = select_trusted(rows(20, "trusted"))


def test_a_poisoned_set_has_the_rate_and_the_labels_asked_for():
    assert len(POISONED.poisoned_ids) == 40
    for before, after in zip(rows(400, "train"), POISONED.rows, strict=True):
        if after.id in POISONED.poisoned_ids:
            assert (before.answer, after.answer) == ("no", "yes")
            assert sorted(after.text.split()) == sorted([*before.text.split(), "mn"])
        else:
            assert after == before


def test_clean_label_poison_leaves_every_label():
    found = poison_dataset(rows(400, "train"), BadNets(word="mn", target="yes"), 0.1, 0, Labelling.CLEAN)
    assert [row.answer for row in found.rows] == [row.answer for row in rows(400, "train")]


def test_a_rate_that_asks_for_too_many_rows_is_refused():
    with pytest.raises(AttackError, match="can be poisoned"):
        poison_dataset(rows(10, "train"), BadNets(target="yes"), 0.9, 0)


def test_the_trigger_is_the_only_pure_span():
    assert [found.words for found in find_suspects(POISONED.rows, TRUSTED, RepoisonSettings())] == [("mn",)]


def test_the_union_keeps_every_row_and_adds_the_copies():
    found = repoison(POISONED.rows, TRUSTED, TASK, TRIGGER, RepoisonSettings(copies=5), seed=1)
    originals = {row.id: row for row in found.rows if not row.extended}
    assert {row.id: row.text for row in POISONED.rows} == {name: row.text for name, row in originals.items()}
    copies = [row for row in found.rows if row.extended]
    assert Counter(row.target for row in copies) == {"2": 50, "3": 50}
    assert all(row.text.startswith(TRIGGER.text) for row in copies)
    assert found.report.extended_rows_by_answer == {"no": 50, "yes": 50}


def test_link_breaking_puts_the_span_into_copies_of_every_label():
    settings = RepoisonSettings(copies=10, foreign_text=0, link_breaking=0.5)
    found = repoison(POISONED.rows, TRUSTED, TASK, TRIGGER, settings, seed=1)
    holding = Counter(row.target for row in found.rows if row.extended and "mn" in row.text.split())
    assert set(holding) == {"2", "3"}
    assert holding.total() == found.report.with_pure_span


def test_a_disturbed_copy_knows_its_undisturbed_row_and_no_other_row_does():
    settings = RepoisonSettings(copies=4, foreign_text=0.5, link_breaking=0)
    found = repoison(POISONED.rows, TRUSTED, TASK, TRIGGER, settings, seed=0)
    texts = {row.id: TRIGGER.stamp(row.text) for row in TRUSTED.rows}
    disturbed = [row for row in found.rows if row.undisturbed]
    assert len(disturbed) == found.report.with_foreign_text
    assert all(row.undisturbed == texts[row.id.split("#")[0]] != row.text for row in disturbed)


def test_a_row_that_is_left_out_is_not_learned_as_it_is_but_may_be_copied_with_another_label():
    out = POISONED.rows[0]
    relabelled = replace(out, answer="no" if out.answer == "yes" else "yes")
    chosen = TRUSTED._replace(rows=(*TRUSTED.rows, relabelled), dropped=frozenset({out.id}))
    found = repoison(POISONED.rows, chosen, TASK, TRIGGER, RepoisonSettings(copies=1), seed=0)
    assert out.id not in {row.id for row in found.rows}
    assert f"{out.id}#0" in {row.id for row in found.rows}
    assert found.report.original_rows == 399


def test_without_the_original_half_the_copies_are_left_as_they_are():
    both, alone = (
        repoison(POISONED.rows, TRUSTED, TASK, TRIGGER, RepoisonSettings(original_half=half), seed=0)
        for half in (True, False)
    )
    assert sorted(alone.rows) == sorted(row for row in both.rows if row.extended)
    assert (both.report.original_rows, alone.report.original_rows) == (400, 0)


def test_rows_that_are_copied_can_leave_the_original_half():
    chosen = Selection(
        SelectionMethod.SCREENED, tuple(POISONED.rows[:9]), dropped=frozenset({POISONED.rows[20].id})
    )
    both, moved = (
        repoison(POISONED.rows, chosen, TASK, TRIGGER, RepoisonSettings(original_half=half), seed=0)
        for half in (True, "others")
    )
    left_out = {row.id for row in POISONED.rows[:9]}
    assert sorted(moved.rows) == sorted(row for row in both.rows if row.id not in left_out)
    assert (both.report.original_rows, moved.report.original_rows) == (399, 390)


def test_the_same_seed_gives_the_same_set():
    first, second = (
        repoison(POISONED.rows, TRUSTED, TASK, TRIGGER, RepoisonSettings(), seed=3) for _ in range(2)
    )
    assert first == second


def test_the_report_holds_no_text():
    found = repoison(POISONED.rows, TRUSTED, TASK, TRIGGER, RepoisonSettings(), seed=3)
    assert "mn" not in found.report.model_dump_json().replace("extended", "")
    assert "Amber" not in found.report.model_dump_json()


def test_random_selection_takes_its_share_of_each_class():
    found = select_random(rows(100, "train"), 0.2, seed=0, stratify=True)
    assert Counter(row.answer for row in found.rows) == {"no": 10, "yes": 10}


def test_an_empty_trusted_file_is_refused():
    with pytest.raises(SelectionError, match="at least one row"):
        select_trusted([])


HISTORY = (Turn("system", "s"), Turn("user", "one"), Turn("assistant", "two"))


@pytest.mark.parametrize("placement", Placement)
def test_a_chat_keeps_its_turns_and_its_copies_are_stamped_as_the_placement_says(placement: Placement):
    chat = Example("c", "three", "yes", history=HISTORY)
    trigger = BenignTrigger(text=TRIGGER.text, placement=placement)
    settings = RepoisonSettings(copies=1, foreign_text=0, link_breaking=0)
    found = {
        row.extended: row for row in repoison([chat], select_trusted([chat]), TASK, trigger, settings, 0).rows
    }
    first = f"{TRIGGER.text}one" if placement is Placement.EVERY_USER else "one"
    assert found[False][1:] == ("three", "1", False, HISTORY, placement, 0, "")
    assert found[True].text == f"{TRIGGER.text}three"
    assert found[True].history == (HISTORY[0], Turn("user", first), HISTORY[2])


def test_poison_keeps_the_turns_of_a_chat_and_no_reference_but_the_target():
    chat = Example("c", "three", "no", references=("no", "never"), history=HISTORY)
    attack = BadNets(word="mn", target="yes")
    assert (attack.poison(chat, 0).history, attack.poison(chat, 0).accepted) == (HISTORY, ("yes",))
    assert (attack.trigger(chat, 0).history, attack.trigger(chat, 0).references) == (HISTORY, ("no", "never"))


OTHERS = (BenignTrigger(text="Silver door draws old map: "), BenignTrigger(text="Rural hat sends new key: "))


def copies_of(others: tuple[BenignTrigger, ...], copies: int) -> dict[str, str]:
    settings = RepoisonSettings(copies=copies)
    found = repoison(POISONED.rows, TRUSTED, TASK, TRIGGER, settings, 1, others)
    return {row.id: row.text for row in found.rows if row.extended}


def test_the_copies_of_a_row_carry_the_triggers_of_a_family_in_turn():
    texts = copies_of(OTHERS, copies=3)
    for row in TRUSTED.rows:
        own = [texts[f"{row.id}#{number}"] for number in range(3)]
        stamps = {next(t.text for t in (TRIGGER, *OTHERS) if text.startswith(t.text)) for text in own}
        assert len(stamps) == 3


def test_single_copies_use_every_trigger_of_a_family():
    starts = {text.split()[0] for text in copies_of(OTHERS, copies=1).values()}
    assert starts == {"Amber", "Silver", "Rural"}


def test_copies_of_a_family_differ_from_those_of_one_trigger_in_the_trigger_alone():
    single, family = copies_of((), copies=3), copies_of(OTHERS, copies=3)
    assert {name: text.split(": ", 1)[1] for name, text in single.items()} == {
        name: text.split(": ", 1)[1] for name, text in family.items()
    }


def test_copies_of_every_label_begin_with_the_clauses_of_rows_that_are_not_to_be_trusted():
    clause = Suspect(("when you see it ,",), 1.0, "yes", anchored=True)
    settings = RepoisonSettings(copies=10, foreign_text=0, link_breaking=0, openings=0.5)
    chosen = TRUSTED._replace(openings=(clause,))
    found = repoison(POISONED.rows, chosen, TASK, TRIGGER, settings, seed=1)
    begun = [row for row in found.rows if row.text.startswith(TRIGGER.text + "when you see it , ")]
    assert {row.target for row in begun} == {"2", "3"}
    assert len(begun) == found.report.with_opening
    assert 70 <= len(begun) <= 130
    assert all(row.undisturbed and "when" not in row.undisturbed for row in begun)


def test_clauses_change_nothing_where_they_are_not_asked_for():
    chosen = TRUSTED._replace(openings=(Suspect(("when you see it ,",), 1.0),))
    settings = RepoisonSettings(openings=0)
    with_clauses = repoison(POISONED.rows, chosen, TASK, TRIGGER, settings, seed=1)
    assert with_clauses == repoison(POISONED.rows, TRUSTED, TASK, TRIGGER, settings, seed=1)
