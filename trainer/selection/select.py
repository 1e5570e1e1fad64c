"""The selection stage: training rows, trusted rows and embeddings in, the rows S and the suspects out."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from p2p.examples import Example
from p2p.selection import Selection, SelectionMethod, Suspect, select_random, select_trusted
from trainer.selection.features import Feature
from trainer.selection.screening import Screened, ScreeningSettings, screen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Inputs to the frozen base model's embeddings, shape ``(inputs, features)``."""

# A feature that the classifier does not believe is this many times as suspicious as a pure one that it does.
_DISBELIEVED = 20.0


class Chosen(NamedTuple):
    """A selection, and what screening found on the way.

    Attributes:
        selection: The rows S and the suspects.
        screened: None where nothing was screened.
    """

    selection: Selection
    screened: Screened | None = None


def select_labelled(
    method: SelectionMethod,
    rows: Sequence[Example],
    trusted: Sequence[Example],
    embed: Embed,
    settings: ScreeningSettings,
    *,
    rho: float,
    seed: int,
) -> Chosen:
    """Choose the rows that are re-poisoned, for labels.

    Every method but ``random`` screens the training set: ``trusted`` for its suspects alone, ``screened`` for its rows, to which
    trusted rows are added where there are any.

    Args:
        method: Where the rows come from.
        rows: The (possibly poisoned) training set.
        trusted: Rows that are known to be clean; may be empty for ``screened``.
        embed: The frozen base model's embeddings.
        settings: When screening keeps a row out.
        rho: The share of the training set that ``random`` draws.
        seed: Decides what is drawn.

    Raises:
        SelectionError: There is nothing to select from.
    """
    if method is SelectionMethod.RANDOM:
        return Chosen(select_random(rows, rho, seed, stratify=True))
    known = (trusted, embed([row.text for row in trusted])) if trusted else None
    screened = screen(rows, embed([row.text for row in rows]), settings, seed, known)
    suspects = suspects_of(screened)
    if method is SelectionMethod.TRUSTED:
        return Chosen(select_trusted(trusted)._replace(suspects=suspects), screened)
    return Chosen(Selection(method, (*screened.kept, *trusted), suspects), screened)


def suspects_of(screened: Screened) -> tuple[Suspect, ...]:
    """Return what link breaking is to use: every feature that is purer than it should be, by how suspicious it is."""
    return (
        *(_suspect(feature, _DISBELIEVED) for feature in screened.triggers),
        *(_suspect(feature, 1.0) for feature in screened.pure),
    )


def _suspect(feature: Feature, factor: float) -> Suspect:
    return Suspect(feature.words, factor * len(feature.rows), feature.anchored)
