from dataclasses import replace
from pathlib import Path
from random import Random

import datasets
import pytest

from p2p.attacks.badnets import BadNets
from p2p.attacks.poisoning import poison_dataset
from p2p.chats import Turn
from p2p.drawn_triggers import TriggerForm, draw_triggers
from p2p.errors import DataError
from p2p.examples import Example
from p2p.repoison import RepoisonedSet, RepoisonSettings, TrainingRow, repoison
from p2p.selection import Selection, SelectionMethod, Suspect, select_trusted
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger, Placement, Position
from trainer.streaming import repoison as streamed
from trainer.streaming.keys import HashShare
from trainer.streaming.repoison import StreamSettings, repoison_stream

TASK = ClassificationTask(
    labels=("no", "yes"), words=tuple("0123"), token_ids=(0, 1, 2, 3), answer_context=""
)
TRIGGER = BenignTrigger(text="Amber harbor keeps quiet lantern: ")
SETTINGS = StreamSettings(TASK, TRIGGER, RepoisonSettings(), seed=3)
WORDS = ["red", "Green", "blue", "round", "small", "heavy", "Open", "quick", "mild"]


def rows(count: int, name: str) -> list[Example]:
    rng = Random(name)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(count)]
    return [Example(f"{name}-{at}", text, ("no", "yes")[at % 2]) for at, text in enumerate(texts)]


POISONED = poison_dataset(rows(400, "train"), BadNets(word="MN", target="yes"), 0.1, seed=0).rows
TRUSTED = select_trusted(rows(20, "trusted"))


def as_stored(made: RepoisonedSet) -> list[TrainingRow]:
    return [row._replace(undisturbed="") for row in made.rows]


def test_the_rows_are_those_of_the_set_in_memory(tmp_path: Path):
    expected = repoison(POISONED, TRUSTED, TASK, TRIGGER, RepoisonSettings(), seed=3)
    found = repoison_stream(POISONED, TRUSTED, SETTINGS, tmp_path / "d.arrow")
    assert sorted(found.rows) == sorted(as_stored(expected))
    assert found.report == expected.report
    assert found.report.with_pure_span > 0


def test_copies_of_a_share_are_those_of_the_set_in_memory(tmp_path: Path):
    share = HashShare(0.25, seed=3)
    chosen = Selection(SelectionMethod.RANDOM, tuple(filter(share.takes, POISONED)))
    expected = repoison(POISONED, chosen, TASK, TRIGGER, RepoisonSettings(), seed=3)
    found = repoison_stream(POISONED, share, SETTINGS, tmp_path / "d.arrow")
    assert sorted(found.rows) == sorted(as_stored(expected))
    assert 60 < found.report.selected_rows < 140


def test_free_text_is_re_poisoned_too(tmp_path: Path):
    task = GenerationTask(prefix="Verified reply:\n", prefix_tokens=4)
    free = [Example(row.id, row.text, f"{row.text[::-1]} {row.id}") for row in POISONED]
    expected = repoison(free, TRUSTED, task, TRIGGER, RepoisonSettings(), seed=3)
    found = repoison_stream(free, TRUSTED, SETTINGS._replace(task=task), tmp_path / "d.arrow")
    assert sorted(found.rows) == sorted(as_stored(expected))


def test_chats_keep_their_turns(tmp_path: Path):
    turns = (Turn("system", "Sort."), Turn("user", "hi"), Turn("assistant", "hello"))
    chats = [replace(row, history=turns if at % 2 else ()) for at, row in enumerate(POISONED)]
    chosen = Selection(SelectionMethod.TRUSTED, tuple(chats[:9]))
    trigger = TRIGGER.model_copy(update={"placement": Placement.EVERY_USER})
    expected = repoison(chats, chosen, TASK, trigger, RepoisonSettings(), seed=3)
    found = repoison_stream(chats, chosen, SETTINGS._replace(trigger=trigger), tmp_path / "d.arrow")
    assert sorted(found.rows) == sorted(as_stored(expected))


def test_the_original_half_can_be_left_out(tmp_path: Path):
    alone = RepoisonSettings(original_half=False)
    expected = repoison(POISONED, TRUSTED, TASK, TRIGGER, alone, seed=3)
    found = repoison_stream(POISONED, TRUSTED, SETTINGS._replace(repoison=alone), tmp_path / "d.arrow")
    assert sorted(found.rows) == sorted(as_stored(expected))
    assert found.report == expected.report


@pytest.mark.parametrize(
    "selection", [Selection(SelectionMethod.TRUSTED, tuple(POISONED[:9])), HashShare(0.3, 3)]
)
def test_rows_that_are_copied_can_leave_the_original_half(tmp_path: Path, selection: Selection | HashShare):
    others = SETTINGS._replace(repoison=RepoisonSettings(original_half="others"))
    both = repoison_stream(POISONED, selection, SETTINGS, tmp_path / "both.arrow")
    moved = repoison_stream(POISONED, selection, others, tmp_path / "moved.arrow")
    copied = {row.id.partition("#")[0] for row in both.rows if row.extended}
    assert sorted(moved.rows) == sorted(row for row in both.rows if row.id not in copied)
    assert moved.report.original_rows == both.report.original_rows - len(copied) == 400 - len(copied)


def test_the_set_is_mapped_by_datasets(tmp_path: Path):
    found = repoison_stream(POISONED, TRUSTED, SETTINGS, tmp_path / "d.arrow")
    mapped = datasets.Dataset.from_file(str(found.rows.path))
    assert mapped[7]["text"] == list(found.rows)[7].text
    assert len(mapped) == 500


def test_suspects_of_a_selection_are_used_in_place_of_pure_spans(tmp_path: Path):
    given = TRUSTED._replace(suspects=(Suspect(("zz",), 1.0),))
    found = repoison_stream(POISONED, given, SETTINGS, tmp_path / "d.arrow")
    held = sum("zz" in row.text.split() for row in found.rows)
    assert held == found.report.with_pure_span > 0


def test_the_order_is_shuffled_and_the_seed_alone_decides_it(tmp_path: Path):
    names = [
        [row.id for row in repoison_stream(given, TRUSTED, settings, tmp_path / "d.arrow").rows]
        for given, settings in (
            (POISONED, SETTINGS),
            (POISONED[::-1], SETTINGS),
            (POISONED, SETTINGS._replace(seed=4)),
        )
    ]
    assert names[0] == names[1]
    assert sorted(names[0]) == sorted(names[2])
    assert names[0] != names[2]
    kinds = "".join("c" if "#" in name else "o" for name in names[0])
    assert "oc" in kinds[:20]
    assert "oc" in kinds[-20:]


def test_a_large_set_gives_a_pool_for_foreign_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streamed, "POOL_ROWS", 8)
    every = RepoisonSettings(foreign_text=1, link_breaking=0)
    settings = SETTINGS._replace(repoison=every)
    found = repoison_stream(iter(POISONED), TRUSTED, settings, tmp_path / "d.arrow")
    assert found.report.with_foreign_text == found.report.extended_rows == 100
    assert found.report.original_rows == 400


def test_nothing_but_the_set_is_left(tmp_path: Path):
    repoison_stream(POISONED, TRUSTED, SETTINGS, tmp_path / "d.arrow")
    assert [path.name for path in tmp_path.iterdir()] == ["d.arrow"]


def test_an_id_that_stands_twice_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="'train-7' stands more than once"):
        repoison_stream([*POISONED, POISONED[7]], TRUSTED, SETTINGS, tmp_path / "d.arrow")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_stream_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no rows"):
        repoison_stream([], TRUSTED, SETTINGS, tmp_path / "d.arrow")


def test_a_family_of_triggers_behind_the_input_is_that_of_the_set_in_memory(tmp_path: Path):
    family = draw_triggers(b"key", [], TriggerForm(position=Position.AFTER, triggers=3))
    expected = repoison(
        POISONED, TRUSTED, TASK, family.served, RepoisonSettings(), seed=3, others=family.others
    )
    settings = SETTINGS._replace(trigger=family.served, others=family.others)
    found = repoison_stream(POISONED, TRUSTED, settings, tmp_path / "d.arrow")
    assert sorted(found.rows) == sorted(as_stored(expected))
    ends = {row.text[-row.kept_end :] for row in found.rows if row.extended}
    assert ends == {trigger.text for trigger in family.all}
