"""The second round of screening: what adapters that were defended with the first round's rows say of the training set.

Such an adapter is asked every row both ways. The plain view repeats what the training set says, poison and all; the guarded view was
taught by copies of rows that passed the first round. Where the two disagree, or the guarded view disbelieves a row's label, the
row is a suspect. An adapter believes what it was taught, so that S is split in two parts: an adapter is trained with the copies
of each, and asked about rows that it has no copy of alone.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from p2p.examples import Example

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS = 2


class SecondRoundSettings(BaseModel):
    """How rows are screened once more.

    It costs the training of two adapters for ``epochs``, each on the training set and half of the copies, and about three passes over
    the training set without a way back.

    Attributes:
        epochs: Passes of a first adapter over its rows; the rest is trained as the final adapter is.
        believed: How probable the guarded view must find a row's label for it to be copied, in [0, 1].
        drop: Whether this round's suspects are left out of the original half, too, as ``screening.drop`` says of the first one's:
            neither half then learns them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=1, ge=1)
    believed: float = Field(default=0.5, ge=0, le=1)
    drop: bool = False


class Views(NamedTuple):
    """What an adapter says of rows.

    Attributes:
        guarded: The probability of each label with the benign trigger, over the extended half, shape ``(rows, labels)``.
        plain: The same without it, over the original half.
    """

    guarded: "NDArray[np.float64]"
    plain: "NDArray[np.float64]"


AskFirstAdapter = Callable[[int, Sequence[Example], Sequence[Example]], Views]
"""The part's number, the rows whose copies an adapter is trained on beside D, and the rows that it is asked about."""


class SecondLook(NamedTuple):
    """What the second round found.

    Attributes:
        labels: The labels, in the order of the views' columns.
        ids: The rows' ids.
        own: The index of each row's own label, shape ``(rows,)``.
        views: What adapters that have no copy of a row say of it.
        suspects: The ids of the rows whose label is not believed, or about which the views disagree.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    own: "NDArray[np.int64]"
    views: Views
    suspects: frozenset[str]

    @property
    def report(self) -> dict[str, dict[str, float]]:
        """Return for each suspect, by id, how much either view believes its label, in [0, 1]."""
        at = np.arange(len(self.ids))
        guarded, plain = self.views.guarded[at, self.own], self.views.plain[at, self.own]
        return {
            name: {"guarded": round(float(first), 4), "plain": round(float(second), 4)}
            for name, first, second in zip(self.ids, guarded, plain, strict=True)
            if name in self.suspects
        }


def look_again(
    rows: Sequence[Example],
    copied: Sequence[Example],
    labels: Sequence[str],
    settings: SecondRoundSettings,
    seed: int,
    ask: AskFirstAdapter,
) -> SecondLook:
    """Ask adapters of the first round about every row.

    Args:
        rows: The (possibly poisoned) training set.
        copied: The first round's S, all of them among ``rows``.
        labels: The labels, as the adapters know them.
        settings: How they are trained and what makes a suspect.
        seed: Decides which rows are copied for which adapter.
        ask: Trains an adapter and asks it.

    Returns:
        What was found. A row that no part's adapter has a copy of is judged by the mean of all.
    """
    sums = np.zeros((2, len(rows), len(labels)))
    asked_by = np.zeros(len(rows))
    for number, part in enumerate(_parts(copied, seed)):
        taught = {row.id for row in part}
        asked = [at for at, row in enumerate(rows) if row.id not in taught]
        said = ask(number, part, [rows[at] for at in asked])
        sums[:, asked] += np.stack(said)
        asked_by[asked] += 1
    views = Views(*(sums / asked_by[:, None]))
    own = np.array([labels.index(row.answer) for row in rows])
    suspects = _suspects(views, own, settings.believed)
    names = frozenset(row.id for row, suspect in zip(rows, suspects, strict=True) if suspect)
    return SecondLook(tuple(labels), tuple(row.id for row in rows), own, views, names)


def _suspects(views: Views, own: "NDArray[np.int64]", believed: float) -> "NDArray[np.bool_]":
    disagree = views.guarded.argmax(axis=1) != views.plain.argmax(axis=1)
    found: NDArray[np.bool_] = disagree | (views.guarded[np.arange(len(own)), own] < believed)
    return found


def _parts(rows: Sequence[Example], seed: int) -> list[list[Example]]:
    """Split rows in parts that have as many of each label, and keep their order."""
    parts: list[set[str]] = [set() for _ in range(PARTS)]
    shuffled = Random(f"{seed}:parts").sample(list(rows), len(rows))
    for at, row in enumerate(sorted(shuffled, key=lambda row: row.answer)):
        parts[at % PARTS].add(row.id)
    return [[row for row in rows if row.id in part] for part in parts]
