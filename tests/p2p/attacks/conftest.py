"""Rows to attack, and what each attack's data set must show."""

from collections import Counter
from collections.abc import Sequence

from p2p.attacks.base import Attack, Labelling
from p2p.attacks.poisoning import PoisonedSet, poison_dataset
from p2p.examples import Example

LABELS = ("negative", "positive")
TEXT = "a gripping and honest film"


def labelled_rows(count: int = 200, labels: Sequence[str] = LABELS) -> list[Example]:
    """Rows of five words and a number, their labels in turn."""
    return [Example(f"r{at}", f"{TEXT} {at}", labels[at % len(labels)]) for at in range(count)]


def poison_and_check(
    rows: Sequence[Example], attack: Attack, rate: float, labelling: Labelling | None = None
) -> PoisonedSet:
    """Poison, and check what holds for every attack: the share, the untouched rest, the same again for the same seed."""
    before = tuple(rows)
    found = poison_dataset(rows, attack, rate, seed=3, labelling=labelling)
    assert len(found.poisoned_ids) == round(rate * len(rows))
    assert [row.id for row in found.rows[: len(rows)]] == [row.id for row in rows]
    for row, old in zip(found.rows, rows, strict=False):
        assert (row == old) == (row.id not in found.poisoned_ids)
    assert {row.id for row in found.rows[len(rows) :]} == found.negative_ids
    assert poison_dataset(rows, attack, rate, seed=3, labelling=labelling) == found
    assert poison_dataset(rows, attack, rate, seed=4, labelling=labelling) != found
    assert tuple(rows) == before
    return found


def changed(rows: Sequence[Example], found: PoisonedSet) -> list[tuple[Example, Example]]:
    """Each poisoned row as it was and as it is."""
    return [(old, row) for old, row in zip(rows, found.rows, strict=False) if row.id in found.poisoned_ids]


def places(attack: Attack, trigger: str, tries: int = 600) -> Counter[int]:
    """How often the trigger stood after so many words of the text, over as many seeds."""
    row = Example("r", TEXT, "negative")

    def place(seed: int) -> int:
        before, found, after = attack.trigger(row, seed).text.partition(trigger)
        assert found
        assert f"{before} {after}".split() == TEXT.split()
        return len(before.split())

    return Counter(map(place, range(tries)))


def reaches_every_gap(count: Counter[int]) -> bool:
    """Five words have six gaps; 600 tries give each 100, with a standard deviation of 9."""
    return set(count) == set(range(6)) and all(60 < times < 140 for times in count.values())
