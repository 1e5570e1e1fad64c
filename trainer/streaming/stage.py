"""The training set of a run that streams: read, checked, re-poisoned and encoded on disk, in the run's folder."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from p2p.drawn_triggers import DrawnTriggers, held_phrases, phrases_in
from p2p.errors import DataError, Location
from p2p.examples import Example
from p2p.labels import LabelSpace
from p2p.repoison import RepoisonReport, TrainingRow
from p2p.selection import Selection, SelectionMethod, select_trusted
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import plain_phrase
from trainer.config import TrainConfig
from trainer.data.rows import read_rows
from trainer.datasets import Splits, comparable, require_enough, require_known_labels
from trainer.encoding import EncodedSet
from trainer.processes import Processes
from trainer.streaming.encoded import MappedRows, encode_to
from trainer.streaming.keys import HashShare
from trainer.streaming.repoison import StreamSettings, repoison_stream, shuffle_stream
from trainer.training_set import TrainingSet

_FACTS, _ROWS = "facts.json", "rows.arrow"
Encode = Callable[[Sequence[TrainingRow]], EncodedSet]


class StreamingStage(NamedTuple):
    """Makes the training set of a run on disk.

    Attributes:
        config: The run.
        splits: Its trusted and test rows.
        task: Labels or free text.
        triggers: None without a defence.
        folder: Where the set goes; one that is whole already is taken up.
    """

    config: TrainConfig
    splits: Splits
    task: ClassificationTask | GenerationTask
    triggers: DrawnTriggers | None
    folder: Path

    def make(self, encode: Encode, processes: Processes) -> TrainingSet:
        """Make the set, or take it up; the first process does it for all, in a folder that all of them see.

        Args:
            encode: Training rows to what the model sees.
            processes: Those that learn together.

        Raises:
            DataError: A row can't be used, a class has too few, two have the same id, one does not fit, or one holds a benign
                trigger or the prefix.
        """
        if processes.is_first and not (self.folder / _FACTS).exists():
            self._write(encode)
        processes.from_first(None)
        facts = json.loads((self.folder / _FACTS).read_text(encoding="utf-8"))
        report = RepoisonReport.model_validate(facts["report"]) if facts["report"] else None
        chosen = {"method": self.config.selection.method, "rows": report.selected_rows} if report else {}
        met = set(facts["trained_on"])
        return TrainingSet(
            size=facts["rows"],
            encoded=EncodedSet(MappedRows(self.folder), facts["cut"]),
            repoisoned=report,
            selection=chosen,
            selection_report=None,
            summary=f"selection {chosen['method']}: {chosen['rows']} rows are copied" if report else None,
            test=[row for row in self.splits.test if row.id not in met],
            trained_on=self.splits.trained_on + len(met),
        )

    def _write(self, encode: Encode) -> None:
        self.folder.mkdir(exist_ok=True, mode=0o700)
        stream = _CheckedStream(self.config, self.task, self.splits.test, self.triggers)
        path = self.folder / _ROWS
        if self.triggers:
            settings = StreamSettings(
                self.task, self.triggers.served, self.config.repoison, self.config.seed, self.triggers.others
            )
            made = repoison_stream(stream, self._selection(), settings, path)
            rows, report = made.rows, made.report.model_dump()
        else:
            rows, report = shuffle_stream(stream, self.task, self.config.seed, path), None
        stream.require_enough()
        stream.require_unseen()
        cut = encode_to(self.folder, rows, encode)
        # The token ids are what is trained on; the texts have served.
        path.unlink()
        facts = {"rows": stream.size, "cut": cut, "trained_on": sorted(stream.met), "report": report}
        partial = self.folder / f"{_FACTS}.partial"
        partial.write_text(json.dumps(facts), encoding="utf-8")
        partial.replace(self.folder / _FACTS)

    def _selection(self) -> Selection | HashShare:
        if self.config.selection.method is SelectionMethod.TRUSTED:
            return select_trusted(self.splits.trusted)
        return HashShare(self.config.selection.rho, self.config.seed)


class _CheckedStream:
    """The rows of the training split, each checked as it goes by.

    Attributes:
        size: How many have gone by.
        met: The ids of the test rows whose text was among them.
    """

    def __init__(
        self,
        config: TrainConfig,
        task: ClassificationTask | GenerationTask,
        test: Sequence[Example],
        triggers: DrawnTriggers | None,
    ) -> None:
        self._settings = config.data
        self._space = LabelSpace(task.labels) if isinstance(task, ClassificationTask) else None
        self._counts: Counter[str] = Counter()
        self._test: dict[tuple[str, ...], list[str]] = {}
        for row in test:
            self._test.setdefault(comparable(row), []).append(row.id)
        self._phrases = {trigger.phrase for trigger in triggers.all} if triggers else set()
        self._prefix = {plain_phrase(task.prefix)} if triggers and isinstance(task, GenerationTask) else set()
        self._holding = 0
        self.size = 0
        self.met: set[str] = set()

    def __iter__(self) -> Iterator[Example]:
        source = self._settings.rows_of_d
        for numbered in read_rows(source):
            if self._space:
                require_known_labels(source, [numbered], self._space)
                self._counts[numbered.row.answer] += 1
            self.size += 1
            self._holding += self._holds_secret(numbered.row)
            self.met.update(self._test.get(comparable(numbered.row), ()))
            yield numbered.row

    def _holds_secret(self, row: Example) -> bool:
        return bool(held_phrases(row, self._phrases) or phrases_in([row.answer], self._prefix))

    def require_enough(self) -> None:
        if self._space:
            require_enough(self._settings, self._counts, self._space)

    def require_unseen(self) -> None:
        """Refuse a benign trigger or a prefix that rows hold: to draw another, the stream would have to be read again."""
        if self._holding:
            raise DataError(
                f"{self._holding} rows hold the benign trigger, or in their answers the prefix: they are no secret. Train again "
                "with benign_trigger.source `entropy`, which draws others, or with another seed.",
                Location(self._settings.rows_of_d.path),
            )
