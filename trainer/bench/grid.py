"""The grid, run: each cell once, cached by its content; kill it and go on, or run several side by side on one folder."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from p2p.errors import P2PError
from p2p.examples import Example
from trainer.base_model import BaseModel, find_base_model
from trainer.bench.cases import BenchCase, defended_case, make_case
from trainer.bench.digests import missing_files, model_digest, paths_inside
from trainer.bench.keys import cell_key
from trainer.bench.lab import BenchLab
from trainer.bench.measure import finished_result, measure
from trainer.bench.results import CaseId, CellResult
from trainer.bench.store import CellStore, NotApplicable
from trainer.bench.suite import Cell, DefenceSpec, Suite, cells_of
from trainer.config import GenerationSettings
from trainer.errors import ConfigError, NotApplicableError, TrainerError


class Failed(NamedTuple):
    """A cell that could not be measured, and why."""

    cell: Cell
    reason: str


class Grid:
    """A suite's cells and the folder of their results.

    Attributes:
        failed: The cells that the last run could not measure.

    Args:
        suite: What is measured.
        data: The folder of data sets.
        folder: Where results go: ``cells/`` and ``not_applicable/`` (one JSON file each), ``adapters/`` (trained ones, to share
            between cells).
        console: Where progress goes.
    """

    def __init__(self, suite: Suite, data: Path, folder: Path, console: Console) -> None:
        self._suite = suite
        self._data = data
        self._folder = folder
        self._store = CellStore(folder)
        self._console = console
        self._base: BaseModel = find_base_model(suite.base_model)
        self._digest = model_digest(self._base.path)
        self._lab_at_hand: tuple[str, BenchLab] | None = None
        self.failed: list[Failed] = []

    def run(self, only: Callable[[Cell], bool] = lambda _: True) -> list[CellResult]:
        """Measure every cell that is not there yet; one that fails is told, stands in ``failed``, and the others go on.

        Args:
            only: Which cells to measure; the others stay as they are.

        Returns:
            The results of all cells that are there, in the order of the grid.

        Raises:
            TrainerError: A data file of a cell that is left is not there, or a file of results can't be read.
        """
        self.failed = []
        cells = [cell for cell in cells_of(self._suite) if only(cell)]
        self._require_data([cell for cell in cells if not self._is_done(cell)])
        self._console.print(
            f"suite {self._suite.name}: {len(cells)} cells, {len(cells) - self._left(cells)} of them measured already"
        )
        started = time.monotonic()
        for done, cell in enumerate(self._claimed_one_by_one(cells), start=1):
            self._try(cell)
            minutes = (time.monotonic() - started) / done * self._left(cells) / 60
            self._console.print(
                f"  {self._left(cells)} cells left, about {minutes:.0f} min for one process", markup=False
            )
        if elsewhere := self._left(cells):
            self._console.print(
                f"{elsewhere} cells are left to another process that has {self._folder}: run again when it has ended",
                markup=False,
                soft_wrap=True,
            )
        return self.results()

    def results(self) -> list[CellResult]:
        """Return the results that are there, in the order of the grid.

        Raises:
            TrainerError: A file can't be read.
        """
        found = (self._store.result(self.key(cell)) for cell in cells_of(self._suite))
        return [result for result in found if result]

    def table(self, only: Callable[[Cell], bool] = lambda _: True) -> Table:
        """Return the cells with what was measured, for a person to read.

        Args:
            only: Which cells to show.
        """
        title, columns = f"suite {self._suite.name}", ("case", "defence", "seed", "CA", "ASR", "floor")
        shown = Table(*columns, title=title, caption=self._missing_data())
        for column in shown.columns:
            column.overflow = "fold"
        for cell in filter(only, cells_of(self._suite)):
            shown.add_row(cell.case_name, cell.defence_name, str(cell.seed), *self._told(cell))
        return shown

    def key(self, cell: Cell) -> str:
        """Return a cell's content key: 16 hex digits over everything that decides its figures."""
        return cell_key(self._suite, cell, self._digest, self._data)

    def _require_data(self, cells: Iterable[Cell]) -> None:
        """Refuse to begin what would fail in the middle of a night for want of a file."""
        cases = {name: self._suite.cases[name] for name in dict.fromkeys(cell.case_name for cell in cells)}
        blocks = [
            block.model_dump(mode="json")
            for case in cases.values()
            for block in (case, self._suite.datasets[case.dataset])
        ]
        missing = missing_files(blocks, self._data)
        if missing:
            raise ConfigError(
                f"{self._data / missing[0]}: no such file{f', nor {len(missing) - 1} others' if missing[1:] else ''}. "
                "Name the folder of the data sets with --data or P2P_DATASETS, or leave cases out with --case"
            )

    def _missing_data(self) -> str | None:
        """Say which data files are not there: without them nobody can tell what was measured on them."""
        missing = missing_files(self._suite.model_dump(mode="json"), self._data)
        if not missing:
            return None
        return f"data files that are not there: {', '.join(missing)}. Give --data; cells of theirs are shown as not measured."

    def _told(self, cell: Cell) -> list[str]:
        """Return CA, ASR and floor, or that the cell does not apply, or nothing."""
        key = self.key(cell)
        result, refusal = self._store.result(key), self._store.refusal(key)
        if result is None:
            return [f"does not apply: {refusal}" if refusal else "", "", ""]
        figures = result.figures
        rates = (figures.clean_accuracy, figures.attack_success_rate, figures.floor)
        return [str(rate) if rate else "" for rate in rates]

    def _claimed_one_by_one(self, cells: Sequence[Cell]) -> Iterator[Cell]:
        """Yield what is left to do, holding the lock on the cells of a case and seed, which share trainings."""
        for (case, seed), together in groupby(cells, key=lambda cell: (cell.case_name, cell.seed)):
            with self._store.claimed(f"{self._suite.name}-{case}-{seed}") as mine:
                yield from (cell for cell in together if mine and not self._is_done(cell))

    def _left(self, cells: Sequence[Cell]) -> int:
        failed = {failure.cell for failure in self.failed}
        return sum(cell not in failed and not self._is_done(cell) for cell in cells)

    def _is_done(self, cell: Cell) -> bool:
        return self._store.is_done(self.key(cell))

    def _try(self, cell: Cell) -> None:
        """Measure a cell, and keep what came of it."""
        self._console.print(f"{cell.case_name} | {cell.defence_name} | seed {cell.seed}", markup=False)
        try:
            result = self._measure(cell)
        except NotApplicableError as error:
            self._console.print(f"  does not apply: {error}", markup=False)
            named = {"case": cell.case_name, "defence": cell.defence_name}
            self._store.refuse(NotApplicable(key=self.key(cell), reason=str(error), **named))
        except (P2PError, TrainerError) as error:
            self._console.print(f"  failed: {error}", markup=False, soft_wrap=True)
            self.failed.append(Failed(cell, str(error)))
        else:
            self._store.keep(result)
            self._console.print(f"  {_summary(result)}", markup=False)

    def _measure(self, cell: Cell) -> CellResult:
        suite = self._suite
        spec, defence = suite.cases[cell.case_name], suite.defences[cell.defence_name]
        dataset = suite.datasets[spec.dataset]
        lab = self._lab(cell)
        rows: BenchCase = make_case(spec, dataset, self._data, cell.seed)
        case = defended_case(rows, dataset, lab.tokenizer, cell.seed)
        case = case._replace(trusted=_trusted(rows, defence))
        placed = defence.model_copy(update={"parameters": paths_inside(defence.parameters, self._data)})
        return finished_result(
            measure(case, rows, placed, lab),
            self._base.id,
            key=self.key(cell),
            suite=suite.name,
            case=CaseId(
                dataset=spec.dataset,
                task=dataset.task.kind,
                attack=spec.label,
                rate=spec.rate,
                rows=len(rows.clean),
                seed=cell.seed,
            ),
            defence=defence.defence,
            variant=defence.variant,
        )

    def _lab(self, cell: Cell) -> BenchLab:
        """Return the lab of a cell. One is kept at a time: each holds a base model and the rows' states."""
        suite = self._suite
        task = suite.datasets[suite.cases[cell.case_name].dataset].task
        new_tokens = task.max_new_tokens if isinstance(task, GenerationSettings) else 1
        lora = suite.lora_of(cell.case_name, cell.defence_name)
        training = suite.training_of(cell.case_name, cell.defence_name)
        name = f"{new_tokens}|{lora}|{training.dtype}"
        if not self._lab_at_hand or self._lab_at_hand[0] != name:
            self._lab_at_hand = None
            kept = self._folder / "adapters"
            lab = BenchLab(self._base.path, lora, training, kept, self._console, max_new_tokens=new_tokens)
            self._lab_at_hand = (name, lab)
        return self._lab_at_hand[1].trained_as(training)


def _trusted(rows: BenchCase, defence: DefenceSpec) -> Sequence[Example]:
    """Return the trusted rows that a defence is given."""
    if not defence.trusted:
        return ()
    wanted = defence.trusted_rows
    if wanted is not None and len(rows.trusted) < wanted:
        raise ConfigError(
            f"the defence is to have {wanted} trusted rows, and the case has {len(rows.trusted)}: raise its trusted_rows"
        )
    return rows.trusted[:wanted]


def _summary(result: CellResult) -> str:
    """Put a result into one line for a person."""
    figures = result.figures
    parts = [f"CA {figures.clean_accuracy}"]
    if figures.attack_success_rate is not None and figures.floor is not None:
        parts += [f"ASR {figures.attack_success_rate}", f"floor {figures.floor}"]
    if figures.quality is not None:
        parts.append(f"ROUGE-L {figures.quality:.3f}")
    if result.selection is not None:
        chosen = result.selection
        parts.append(f"S {chosen.kept} rows, {chosen.kept_poisoned} of {chosen.poisoned} poisoned ones")
    return f"{', '.join(parts)}; {result.cost.seconds:.0f} s of training"
