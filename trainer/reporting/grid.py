"""The measured grid in reading order: which rows belong to a case, and which cases may be spoken of."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from trainer.bench.results import CellResult
from trainer.reporting.names import (
    GUARDED,
    NO_ATTACK,
    UNDEFENDED,
    UNGUARDED,
    ablated,
    attack_name,
    row_name,
    selection_of,
    trusted_rows_of,
)
from trainer.reporting.pooling import CaseKey, Pooled, pool

IMPLANTED = 0.90
"""The least ASR of the undefended model at which an attack counts."""


class Standing(StrEnum):
    """Whether a case may be spoken of."""

    COUNTED = "counted"
    NOT_IMPLANTED = "attack not implanted"
    NO_UNDEFENDED = "undefended model not measured"
    NO_POISON = "no poison"


class Case(NamedTuple):
    """A case with its rows.

    Attributes:
        key: What is attacked, and how.
        rows: Undefended, P2P, P2P without the guard, then other defences by name.
        ablations: Rows with a part of a defence changed whose unchanged row is there, too.
        never_poisoned: The undefended model trained on the same data set without poison, asked with the same attack if it was
            measured so; None where it was not measured.
    """

    key: CaseKey
    rows: tuple[Pooled, ...]
    ablations: tuple[Pooled, ...]
    never_poisoned: Pooled | None

    @property
    def undefended(self) -> Pooled | None:
        """The undefended model; None where it was not measured."""
        return next((row for row in self.rows if row.defence == UNDEFENDED), None)

    @property
    def standing(self) -> Standing:
        """Whether the case counts: the undefended model's pooled ASR is at least :data:`IMPLANTED`."""
        if not self.key.rate:
            return Standing.NO_POISON
        asr = self.undefended.attack_success_rate if self.undefended else None
        if asr is None:
            return Standing.NO_UNDEFENDED
        return Standing.COUNTED if asr.value >= IMPLANTED else Standing.NOT_IMPLANTED

    @property
    def counted(self) -> bool:
        """Whether claims may rest on it."""
        return self.standing is Standing.COUNTED

    def of(self, defence: str) -> tuple[Pooled, ...]:
        """Return the rows of one defence."""
        return tuple(row for row in self.rows if row.defence == defence)


class Grid(NamedTuple):
    """Everything that was measured.

    Attributes:
        results: The cells as they came.
        superseded: Cells left out because a later one replaces them.
        cases: In reading order: classification first, then by data set, attack, poison rate and rows.
    """

    results: tuple[CellResult, ...]
    superseded: tuple[CellResult, ...]
    cases: tuple[Case, ...]

    @property
    def attacked(self) -> tuple[Case, ...]:
        """The cases with an attack."""
        return tuple(case for case in self.cases if case.standing is not Standing.NO_POISON)

    @property
    def counted(self) -> tuple[Case, ...]:
        """The cases that claims may rest on."""
        return tuple(case for case in self.cases if case.counted)

    def headline(self, case: Case, defence: str = GUARDED) -> tuple[Pooled, ...]:
        """Return the rows of a case that stand for a defence: one for each way of choosing rows.

        Where several numbers of trusted rows were measured, this is the number that most cases share (of several such the smallest), or,
        where this case has it not, the smallest. A row with something ablated stands for it only where there is no other.

        Args:
            case: One of the grid's.
            defence: The defence's name in results.
        """
        by_method: dict[str, list[Pooled]] = defaultdict(list)
        for row in case.of(defence):
            by_method[selection_of(row)].append(row)
        common = self._common_trusted_rows(defence)
        return tuple(
            min(
                rows,
                key=lambda row: (
                    bool(ablated(row)),
                    (trusted_rows_of(row) or 0) != common[method],
                    trusted_rows_of(row) or 0,
                ),
            )
            for method, rows in by_method.items()
        )

    def _common_trusted_rows(self, defence: str) -> dict[str, int]:
        shared: dict[str, Counter[int]] = defaultdict(Counter)
        for case in self.cases:
            for method, count in {(selection_of(row), trusted_rows_of(row) or 0) for row in case.of(defence)}:
                shared[method][count] += 1
        return {
            method: min(counts, key=lambda count: (-counts[count], count))
            for method, counts in shared.items()
        }


def make_grid(results: Sequence[CellResult]) -> Grid:
    """Put cells in reading order.

    Args:
        results: The cells, at least one.
    """
    pooling = pool(results)
    by_case: dict[CaseKey, list[Pooled]] = defaultdict(list)
    for row in pooling.rows:
        by_case[row.case].append(row)
    cases = (_case(key, by_case) for key in sorted(by_case, key=_case_order))
    return Grid(tuple(results), pooling.superseded, tuple(cases))


def baseline(case: Case, row: Pooled) -> Pooled | None:
    """Return the row that an ablation changes: the same defence and settings with nothing ablated.

    Args:
        case: The case that the row belongs to.
        row: A row with something ablated.
    """
    return _baseline(case.rows, row)


def row_order(row: Pooled) -> tuple[int, str, int, str, int, str]:
    """Return what rows of a table are sorted by.

    Args:
        row: A row.
    """
    leading = [UNDEFENDED, GUARDED, UNGUARDED]
    place = leading.index(row.defence) if row.defence in leading else len(leading)
    methods = ["trusted", "screened", "random"]
    method = selection_of(row)
    chosen = methods.index(method) if method in methods else len(methods)
    return (place, row.defence, chosen, method, trusted_rows_of(row) or 0, row_name(row))


def _case(key: CaseKey, by_case: dict[CaseKey, list[Pooled]]) -> Case:
    rows = sorted(by_case[key], key=row_order)
    ablations = tuple(row for row in rows if ablated(row) and _baseline(rows, row))
    clean = _never_poisoned(key, by_case) if key.rate else None
    return Case(key, tuple(row for row in rows if row not in ablations), ablations, clean)


def _never_poisoned(key: CaseKey, by_case: Mapping[CaseKey, Sequence[Pooled]]) -> Pooled | None:
    """Return the undefended model of the same rows without poison: the one asked with this attack, or else one asked with none."""
    found = {
        attack_name(other.attack): row
        for other, rows in by_case.items()
        if not other.rate and other._replace(attack=key.attack, rate=key.rate) == key
        for row in rows
        if row.defence == UNDEFENDED
    }
    return found.get(attack_name(key.attack), found.get(NO_ATTACK))


def _baseline(rows: Iterable[Pooled], row: Pooled) -> Pooled | None:
    wanted = tuple(pair for pair in row.variant if pair not in ablated(row))
    return next((each for each in rows if each.defence == row.defence and each.variant == wanted), None)


def _case_order(key: CaseKey) -> tuple[str, str, bool, str, float, int]:
    return (key.task, key.dataset, not key.rate, attack_name(key.attack), key.rate, key.rows)
