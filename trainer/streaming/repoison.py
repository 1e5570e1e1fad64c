"""Re-poisoning of a set of any size: rows come as a stream, D* goes to a file, and memory stays flat.

The copies are those that :func:`p2p.repoison.repoison` makes of the same selected rows with the same seed, as long as the set
is no larger than the pool that foreign text is drawn from (without their undisturbed text, which is not kept). A larger set gives a pool of rows drawn by hash.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from p2p.errors import DataError
from p2p.examples import Example
from p2p.repoison import (
    Copy,
    CopyMaker,
    RepoisonReport,
    RepoisonSettings,
    TrainingRow,
    make_copier,
    original_row,
)
from p2p.selection import Selection, Suspect
from p2p.spans import SpanSettings
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger
from trainer.streaming.keys import HashShare, KeyedHash
from trainer.streaming.shuffle import DiskShuffle
from trainer.streaming.spans import stored_pure_spans
from trainer.streaming.store import EXAMPLES, TRAINING_ROWS, RowFile, RowWriter
from trainer.streaming.words import WordFile, WordWriter

POOL_ROWS = 2**15
"""From how many rows at most foreign text is drawn."""


class StreamSettings(NamedTuple):
    """All that decides D*, beside the rows.

    Attributes:
        task: How answers look in either half.
        trigger: The benign trigger.
        repoison: How copies are made.
        seed: The same seed and rows, in whatever order, give the same rows in the same order.
        others: Further benign triggers, which copies carry in turn.
    """

    task: ClassificationTask | GenerationTask
    trigger: BenignTrigger
    repoison: RepoisonSettings
    seed: int
    others: tuple[BenignTrigger, ...] = ()


class StreamedSet(NamedTuple):
    """D* on disk, shuffled, and the report."""

    rows: RowFile[TrainingRow]
    report: RepoisonReport


class _Ingested(NamedTuple):
    rows: RowFile[Example]
    size: int
    words: WordFile
    pool: list[Example]


def repoison_stream(
    rows: Iterable[Example], selection: Selection | HashShare, settings: StreamSettings, output: Path
) -> StreamedSet:
    """Make D* of a stream of rows; the stream is read once.

    Args:
        rows: The (possibly poisoned) training set D.
        selection: The rows S that are copied: the trusted ones, or a share of the stream.
        settings: All that decides D*.
        output: The file that D* goes to. Beside it, for the time being, lie the rows, 20 bytes a word and D* again.

    Raises:
        DataError: Two rows have the same id, or there is none.
        LabelError: A row has a label that the task does not know.
    """
    with TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as scratch:
        folder = Path(scratch)
        found = _ingest(rows, folder, settings.seed)
        maker = _copy_maker(found, selection, settings, folder)
        with DiskShuffle(folder, settings.seed, _expected_bytes(found, selection, settings)) as shuffle:
            originals = _add_originals(found.rows, selection, settings, shuffle)
            selected, tally = _add_copies(found.rows, selection, maker, settings.seed, shuffle)
            _write_shuffled(shuffle, folder, output)
    return StreamedSet(RowFile(output, TRAINING_ROWS), tally.report(originals, selected, maker))


def shuffle_stream(
    rows: Iterable[Example], task: ClassificationTask | GenerationTask, seed: int, output: Path
) -> RowFile[TrainingRow]:
    """Write the rows of a stream as they are learned without a defence: none is copied, and the seed decides their order.

    Args:
        rows: The training set; read once.
        task: How answers look.
        seed: The same seed and rows, in whatever order, give the same order.
        output: The file they go to.

    Raises:
        DataError: Two rows have the same id, or there is none.
        LabelError: A row has a label that the task does not know.
    """
    with TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as scratch:
        folder = Path(scratch)
        with RowWriter(folder / "rows.arrow", EXAMPLES) as store:
            for row in rows:
                store.add(row)
        if not store.rows:
            raise DataError("there are no rows")
        held = RowFile(folder / "rows.arrow", EXAMPLES)
        with DiskShuffle(folder, seed, held.path.stat().st_size) as shuffle:
            for row in held:
                shuffle.add(original_row(row, task))
            _write_shuffled(shuffle, folder, output)
    return RowFile(output, TRAINING_ROWS)


def _write_shuffled(shuffle: DiskShuffle, folder: Path, output: Path) -> None:
    with RowWriter(folder / "shuffled.arrow", TRAINING_ROWS) as writer:
        for row in shuffle.rows():
            writer.add(row)
    (folder / "shuffled.arrow").replace(output)


def _ingest(rows: Iterable[Example], folder: Path, seed: int) -> _Ingested:
    path = folder / "rows.arrow"
    pool = _Pool(seed)
    with RowWriter(path, EXAMPLES) as store, WordWriter(folder) as words:
        for row in rows:
            store.add(row)
            words.add(row)
            pool.offer(row)
    if not store.rows:
        raise DataError("there are no rows")
    return _Ingested(RowFile(path, EXAMPLES), store.rows, WordFile(folder), pool.rows())


class _Pool:
    """The rows with the smallest hashes: a sample that the order of the rows does not change."""

    def __init__(self, seed: int) -> None:
        self._hash = KeyedHash(seed, "foreign text")
        self._heap: list[tuple[int, int, Example]] = []
        self._seen = 0

    def offer(self, row: Example) -> None:
        # Negative: the heap gives its smallest, and the largest hash has to go.
        entry = (-self._hash(row.id), self._seen, row)
        self._seen += 1
        if len(self._heap) < POOL_ROWS:
            heapq.heappush(self._heap, entry)
        elif entry[0] > self._heap[0][0]:
            heapq.heapreplace(self._heap, entry)

    def rows(self) -> list[Example]:
        return [row for _, _, row in sorted(self._heap, key=lambda entry: entry[1])]


def _selected(rows: Iterable[Example], selection: Selection | HashShare) -> Iterator[Example]:
    return filter(selection.takes, rows) if isinstance(selection, HashShare) else iter(selection.rows)


def _copy_maker(
    found: _Ingested, selection: Selection | HashShare, settings: StreamSettings, folder: Path
) -> CopyMaker:
    chosen = settings.repoison
    wanted = SpanSettings(chosen.span_longest, chosen.span_min_rows, chosen.span_purity)
    suspects = selection.suspects if isinstance(selection, Selection) else None
    if suspects is None:
        spans = stored_pure_spans(found.rows, found.words, wanted, folder)
        suspects = tuple(Suspect((span.text,), 1.0) for span in spans)
    sources = [*found.pool, *_selected(found.pool, selection)]
    return make_copier(sources, suspects, settings.task, (settings.trigger, *settings.others), chosen)


def _expected_bytes(found: _Ingested, selection: Selection | HashShare, settings: StreamSettings) -> int:
    share = selection.share if isinstance(selection, HashShare) else len(selection.rows) / found.size
    return round(found.rows.path.stat().st_size * (1 + share * settings.repoison.copies))


def _add_originals(
    rows: Iterable[Example], selection: Selection | HashShare, settings: StreamSettings, shuffle: DiskShuffle
) -> int:
    half, added = settings.repoison.original_half, 0
    if not half:
        return added
    is_left_out = _is_copied(selection) if half == "others" else None
    for row in rows:
        if is_left_out and is_left_out(row):
            continue
        shuffle.add(original_row(row, settings.task, settings.trigger.placement))
        added += 1
    return added


def _is_copied(selection: Selection | HashShare) -> Callable[[Example], bool]:
    if isinstance(selection, HashShare):
        return selection.takes
    copied = {row.id for row in selection.rows}
    return lambda row: row.id in copied


def _add_copies(
    rows: Iterable[Example],
    selection: Selection | HashShare,
    maker: CopyMaker,
    seed: int,
    shuffle: DiskShuffle,
) -> tuple[int, "_Tally"]:
    tally, selected = _Tally(), 0
    for row in _selected(rows, selection):
        selected += 1
        for copy in maker.copies(row, seed):
            shuffle.add(copy.row)
            tally.add(copy)
    return selected, tally


class _Tally:
    """Counts what the copies hold."""

    def __init__(self) -> None:
        self._by_answer: Counter[str] = Counter()
        self._held: Counter[str] = Counter()

    def add(self, copy: Copy) -> None:
        self._by_answer[copy.answer] += 1
        self._held.update(foreign=copy.has_foreign_text, span=copy.has_pure_span)

    def report(self, originals: int, selected: int, maker: CopyMaker) -> RepoisonReport:
        labelled = isinstance(maker.task, ClassificationTask)
        return RepoisonReport(
            original_rows=originals,
            selected_rows=selected,
            extended_rows=selected * maker.settings.copies,
            extended_rows_by_answer=dict(sorted(self._by_answer.items())) if labelled else {},
            with_foreign_text=self._held["foreign"],
            with_pure_span=self._held["span"],
            pure_spans_found=len(maker.breaker),
        )
