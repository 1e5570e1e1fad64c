from pathlib import Path
from random import Random

import pytest

from p2p.attacks.badnets import BadNets
from p2p.attacks.poisoning import poison_dataset
from p2p.errors import DataError
from p2p.examples import Example
from p2p.repoison import RepoisonSettings, repoison
from p2p.selection import Selection, SelectionMethod, select_trusted
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger
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


def test_the_rows_are_those_of_the_set_in_memory(tmp_path: Path):
    expected = repoison(POISONED, TRUSTED, TASK, TRIGGER, RepoisonSettings(), seed=3)
    found = repoison_stream(POISONED, TRUSTED, SETTINGS, tmp_path / "d.arrow")
    assert sorted(found.rows) == sorted(expected.rows)
    assert found.report == expected.report
    assert found.report.with_pure_span > 0


def test_copies_of_a_share_are_those_of_the_set_in_memory(tmp_path: Path):
    share = HashShare(0.25, seed=3)
    chosen = Selection(SelectionMethod.RANDOM, tuple(filter(share.takes, POISONED)))
    expected = repoison(POISONED, chosen, TASK, TRIGGER, RepoisonSettings(), seed=3)
    found = repoison_stream(POISONED, share, SETTINGS, tmp_path / "d.arrow")
    assert sorted(found.rows) == sorted(expected.rows)
    assert 60 < found.report.selected_rows < 140


def test_free_text_is_re_poisoned_too(tmp_path: Path):
    task = GenerationTask(prefix="Verified reply:\n", prefix_tokens=4)
    free = [Example(row.id, row.text, f"{row.text[::-1]} {row.id}") for row in POISONED]
    expected = repoison(free, TRUSTED, task, TRIGGER, RepoisonSettings(), seed=3)
    found = repoison_stream(free, TRUSTED, SETTINGS._replace(task=task), tmp_path / "d.arrow")
    assert sorted(found.rows) == sorted(expected.rows)


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
