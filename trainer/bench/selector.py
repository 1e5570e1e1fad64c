"""Choosing S on the bench: when a defence asks for it, with what came of it and what it took."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from p2p.selection import Selection
from trainer.bench.cases import BenchCase
from trainer.bench.lab import BenchLab
from trainer.bench.results import SelectionFigures
from trainer.bench.second_round import LabViews
from trainer.bench.suite import DefenceSpec
from trainer.defences.base import Case, Lab
from trainer.selection.choose import Candidates, choose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Selector:
    """Chooses S once, and remembers what came of it.

    Attributes:
        seconds: What choosing took, without the states below.
        shared_seconds: What the frozen layers took on the rows to choose from, whose states the training uses as well.
        tokens: How many tokens first adapters were trained on.
        details: Counts of a second round.

    Args:
        spec: How.
        lab: The frozen base model, which embeds rows.
        trained_in: Where first adapters of a second round are trained.
    """

    def __init__(self, spec: DefenceSpec, lab: BenchLab, trained_in: Lab) -> None:
        self._spec = spec
        self._lab = lab
        self._trained_in = trained_in
        self._chosen: Selection | None = None
        self._trusted = 0
        self._warm = False
        self.seconds = 0.0
        self.shared_seconds = 0.0
        self.tokens = 0
        self.details: dict[str, float] = {}

    def __call__(self, case: Case) -> Selection:
        """Choose the rows of a case.

        Args:
            case: What the defender has.

        Raises:
            SelectionError: The case has no rows to choose.
        """
        started = time.monotonic()
        wanted, again = self._spec.selection, self._spec.selection.second_round
        views = LabViews(case, self._trained_in, again, self._spec.repoison) if again else None
        given = Candidates(
            case.train,
            case.trusted,
            lambda texts: self._embed(case, texts),
            lambda rows: self._lab.losses(case, rows),
            views,
        )
        chosen = choose(case.task, given, wanted, case.seed)
        self._chosen = chosen.selection
        if chosen.look:
            self.details = {
                "second_round_suspects": len(chosen.look.suspects),
                "rows_left_out": len(chosen.selection.dropped),
            }
        self._trusted = len(case.trusted)
        self.seconds = time.monotonic() - started + (views.owed if views else 0.0) - self.shared_seconds
        self.tokens = views.tokens if views else 0
        return self._chosen

    def figures(self, rows: BenchCase) -> SelectionFigures | None:
        """Return how S was chosen; None where nobody asked.

        Args:
            rows: What the bench knows of the case.
        """
        if self._chosen is None:
            return None
        # Trusted rows may come from a file that numbers its rows alike.
        given = set(rows.trusted)
        kept = {row.id for row in self._chosen.rows if row not in given}
        return SelectionFigures(
            method=self._chosen.method.value,
            trusted_rows=self._trusted,
            kept=sum(row.id in kept for row in rows.train),
            kept_poisoned=len(kept & rows.poisoned_ids),
            poisoned=len(rows.poisoned_ids),
            seconds=round(self.seconds, 2),
            shared_seconds=round(self.shared_seconds, 2),
        )

    def _embed(self, case: Case, texts: Sequence[str]) -> "NDArray[np.float32]":
        if not self._warm:
            self.shared_seconds = self._lab.warm(case, [row.text for row in case.train])
            self._warm = True
        return self._lab.embed(case, texts)
