"""The grid, run: each cell once, cached by its content; kill it and go on, or run several side by side on one folder."""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from trainer.base_model import BaseModel, find_base_model
from trainer.bench.cases import BenchCase, make_case
from trainer.bench.lab import BenchLab
from trainer.bench.measure import finished_result, measure
from trainer.bench.results import CaseId, CellResult
from trainer.bench.suite import Cell, Suite, cells_of
from trainer.config import GenerationSettings
from trainer.defences.base import Case
from trainer.errors import NotApplicableError, TrainerError
from trainer.tasks import make_bench_task

# Raise it when a change of code or of a default changes figures; cells of another version are measured anew.
_METHOD_VERSION = 1


class Grid:
    """A suite's cells and the folder of their results.

    Args:
        suite: What is measured.
        data: The folder of data sets.
        folder: Where results go: ``cells/`` (one JSON file each), ``adapters/`` (trained ones, to share between cells).
        console: Where progress goes.
    """

    def __init__(self, suite: Suite, data: Path, folder: Path, console: Console) -> None:
        self._suite = suite
        self._data = data
        self._folder = folder
        self._console = console
        self._base: BaseModel = find_base_model(suite.base_model)
        self._labs: dict[str, BenchLab] = {}

    def run(self, only: Callable[[Cell], bool] = lambda _: True) -> list[CellResult]:
        """Measure every cell that is not there yet.

        Args:
            only: Which cells to measure; the others stay as they are.

        Returns:
            The results of all cells that are there, in the order of the grid.

        Raises:
            P2PError: A case can't be made from its data.
            TrainerError: The base model or the suite can't be used.
        """
        cells = [cell for cell in cells_of(self._suite) if only(cell)]
        left = sum(not self._is_done(cell) for cell in cells)
        self._console.print(
            f"suite {self._suite.name}: {len(cells)} cells, {len(cells) - left} of them measured already"
        )
        done, started = 0, time.monotonic()
        for (case, seed), together in groupby(cells, key=lambda cell: (cell.case_name, cell.seed)):
            with self._claimed(case, seed) as mine:
                for cell in together if mine else ():
                    if self._is_done(cell):
                        continue
                    self._measure(cell)
                    done += 1
                    self._tell_time_left(sum(not self._is_done(each) for each in cells), done, started)
        return self.results()

    def results(self) -> list[CellResult]:
        """Return the results that are there, in the order of the grid.

        Raises:
            TrainerError: A file can't be read.
        """
        paths = [self._path(cell) for cell in cells_of(self._suite)]
        return [_read(path) for path in paths if path.is_file()]

    def table(self, only: Callable[[Cell], bool] = lambda _: True) -> Table:
        """Return the cells with what was measured, for a person to read.

        Args:
            only: Which cells to show.
        """
        shown = Table("case", "defence", "seed", "CA", "ASR", "floor", title=f"suite {self._suite.name}")
        for cell in filter(only, cells_of(self._suite)):
            path = self._path(cell)
            figures = _read(path).figures if path.is_file() else None
            rates = (
                [figures.clean_accuracy, figures.attack_success_rate, figures.floor]
                if figures
                else [None] * 3
            )
            shown.add_row(
                cell.case_name,
                cell.defence_name,
                str(cell.seed),
                *(str(rate) if rate else "" for rate in rates),
            )
        return shown

    def _measure(self, cell: Cell) -> None:
        suite = self._suite
        spec, defence = suite.cases[cell.case_name], suite.defences[cell.defence_name]
        dataset = suite.datasets[spec.dataset]
        self._console.print(f"{cell.case_name} | {cell.defence_name} | seed {cell.seed}", markup=False)
        lab = self._lab(cell)
        rows: BenchCase = make_case(spec, dataset, self._data, cell.seed)
        task = make_bench_task(
            dataset.task, dataset.prompt, lab.tokenizer, [row.answer for row in rows.clean], cell.seed
        )
        trusted = rows.trusted if defence.trusted else ()
        case = Case(task, dataset.prompt, rows.train, trusted, cell.seed)
        try:
            measured = measure(case, rows, defence, lab)
        except NotApplicableError as error:
            self._console.print(f"  does not apply: {error}", markup=False)
            return
        result = finished_result(
            measured,
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
        _write(self._path(cell), result)
        self._announce(result)

    def _announce(self, result: CellResult) -> None:
        figures = result.figures
        parts = [f"CA {figures.clean_accuracy}"]
        if figures.attack_success_rate is not None and figures.floor is not None:
            parts += [f"ASR {figures.attack_success_rate}", f"floor {figures.floor}"]
        if figures.quality is not None:
            parts.append(f"ROUGE-L {figures.quality:.3f}")
        if result.selection is not None:
            chosen = result.selection
            parts.append(f"S {chosen.kept} rows, {chosen.kept_poisoned} of {chosen.poisoned} poisoned ones")
        self._console.print(f"  {', '.join(parts)}; {result.cost.seconds:.0f} s of training", markup=False)

    def key(self, cell: Cell) -> str:
        """Return a cell's content key: 16 hex digits over everything that decides its figures."""
        suite = self._suite
        spec = suite.cases[cell.case_name]
        content = {
            "method": _METHOD_VERSION,
            "base_model": self._base.id,
            # Defaults are left out: a setting that is new leaves the cells of those who do not use it as they are.
            "lora": suite.lora.model_dump(mode="json", exclude_defaults=True),
            "training": suite.training.model_dump(mode="json", exclude_defaults=True),
            "dataset": suite.datasets[spec.dataset].model_dump(mode="json", exclude_defaults=True),
            "case": spec.model_dump(mode="json", exclude_defaults=True),
            "defence": suite.defences[cell.defence_name].model_dump(mode="json", exclude_defaults=True),
            "seed": cell.seed,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def _tell_time_left(self, cells: int, done: int, started: float) -> None:
        minutes = (time.monotonic() - started) / done * cells / 60
        self._console.print(f"  {cells} cells left, about {minutes:.0f} min for one process")

    def _is_done(self, cell: Cell) -> bool:
        return self._path(cell).is_file()

    def _path(self, cell: Cell) -> Path:
        return self._folder / "cells" / f"{self.key(cell)}.json"

    @contextmanager
    def _claimed(self, case: str, seed: int) -> Iterator[bool]:
        """Hold a lock on the cells of a case and seed, which share trainings; false where another process has it."""
        locks = self._folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / f"{self._suite.name}-{case}-{seed}").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _lab(self, cell: Cell) -> BenchLab:
        """Return the lab of a cell; the base model is loaded once for each kind of task and adapter."""
        suite = self._suite
        task = suite.datasets[suite.cases[cell.case_name].dataset].task
        new_tokens = task.max_new_tokens if isinstance(task, GenerationSettings) else 1
        lora = suite.lora_of(cell.case_name, cell.defence_name)
        training = suite.training_of(cell.case_name, cell.defence_name)
        name = f"{new_tokens}|{lora}|{training.dtype}"
        if name not in self._labs:
            self._labs[name] = BenchLab(
                self._base.path,
                lora,
                training,
                self._folder / "adapters",
                self._console,
                max_new_tokens=new_tokens,
            )
        return self._labs[name].trained_as(training)


def _read(path: Path) -> CellResult:
    try:
        return CellResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainerError(
            f"{path} can't be read as a cell's result: {error}. Remove it and run again."
        ) from error


def _write(path: Path, result: CellResult) -> None:
    """Write a result whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
