"""Re-poisoning: the training set united with benign copies of the selected rows.

A copy carries the benign trigger and the safe alternative of its answer. Each selected row gives several copies, most of
them disturbed by foreign text, many by a span that is suspiciously pure in the training set (link breaking): in the
extended half neither is to mean anything.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from p2p.chats import Turn
from p2p.disturbances import ForeignText, LinkBreaker, insert_words
from p2p.examples import Example
from p2p.selection import Selection, Suspect
from p2p.spans import SpanSettings, pure_spans
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger, Placement


class RepoisonSettings(BaseModel):
    """How copies are made.

    Attributes:
        copies: How many copies each selected row gives.
        foreign_text: The share of copies that foreign text is put into, in [0, 1].
        link_breaking: The share of copies that a pure span is put into, in [0, 1]; nothing happens if there is none.
        openings: The share of copies that begin with the opening clause of a row that is not to be trusted, in [0, 1]; for labels.
        span_longest: The longest pure span looked for, in words.
        span_min_rows: How many training rows must hold a pure span.
        span_purity: The share of these rows that must have one answer, in (0.5, 1].
        original_half: Whether the rows of D stay in D*; without them it is the copies alone, and nothing answers without the
            benign trigger. ``others`` leaves out those that are copied, so that no answer is learned twice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    copies: int = Field(default=5, ge=1, le=100)
    foreign_text: float = Field(default=0.7, ge=0, le=1)
    link_breaking: float = Field(default=0.7, ge=0, le=1)
    openings: float = Field(default=0.0, ge=0, le=1)
    span_longest: int = Field(default=6, ge=1, le=12)
    span_min_rows: int = Field(default=20, ge=2)
    span_purity: float = Field(default=0.98, gt=0.5, le=1)
    original_half: bool | Literal["others"] = True


class TrainingRow(NamedTuple):
    """A row as the model is to learn it.

    Attributes:
        id: The example's id; copies add their number (``train-7#2``).
        text: The input, stamped in the extended half; not yet in the prompt template.
        target: What the model is to say.
        extended: Which half the row belongs to.
        history: The turns of a chat before ``text``, stamped in the extended half where the placement says so.
        placement: Which user messages the prompt template goes around.
        kept_end: How many characters at the end of ``text`` are the benign trigger's: they stay when the row is shortened.
        undisturbed: For a copy that something was put into, its stamped input without that; empty for all others.
    """

    id: str
    text: str
    target: str
    extended: bool
    history: tuple[Turn, ...] = ()
    placement: Placement = Placement.LAST_USER
    kept_end: int = 0
    undisturbed: str = ""


class RepoisonReport(BaseModel):
    """What re-poisoning did: counts only, no text."""

    model_config = ConfigDict(frozen=True)

    original_rows: int
    selected_rows: int
    extended_rows: int
    extended_rows_by_answer: dict[str, int]
    with_foreign_text: int
    with_pure_span: int
    pure_spans_found: int
    with_opening: int = 0


class RepoisonedSet(NamedTuple):
    """D* = D united with the copies, shuffled, and the report."""

    rows: tuple[TrainingRow, ...]
    report: RepoisonReport


class Copy(NamedTuple):
    """A benign copy of a selected row.

    Attributes:
        row: The copy itself.
        answer: The original answer.
        has_foreign_text: Whether foreign text was put in.
        has_pure_span: Whether a pure span was.
        has_opening: Whether it begins with a foreign clause.
    """

    row: TrainingRow
    answer: str
    has_foreign_text: bool
    has_pure_span: bool
    has_opening: bool


def repoison(  # noqa: PLR0913, PLR0917 - all that decides D*
    examples: Sequence[Example],
    selection: Selection,
    task: ClassificationTask | GenerationTask,
    trigger: BenignTrigger,
    settings: RepoisonSettings,
    seed: int,
    others: Sequence[BenignTrigger] = (),
) -> RepoisonedSet:
    """Make the re-poisoned training set D*.

    Args:
        examples: The (possibly poisoned) training set D; every row stays in D* as it is, unless the settings or the selection
            leave it out.
        selection: The rows S that are copied.
        task: How answers look in either half.
        trigger: The benign trigger.
        settings: How copies are made.
        seed: The same seed and inputs give the same rows in the same order.
        others: Further benign triggers; each copy carries one of all of them.

    Raises:
        LabelError: A row has a label that the task does not know.
    """
    suspects = find_suspects(examples, selection, settings)
    maker = make_copier(
        [*examples, *selection.rows], suspects, task, (trigger, *others), settings, selection.openings
    )
    copies = [copy for example in selection.rows for copy in maker.copies(example, seed)]
    originals = [original_row(row, task, trigger.placement) for row in _kept(examples, selection, settings)]
    rows = [*originals, *(copy.row for copy in copies)]
    Random(f"{seed}:order").shuffle(rows)
    return RepoisonedSet(tuple(rows), _report(task, originals, selection, copies, len(suspects)))


def _kept(examples: Sequence[Example], selection: Selection, settings: RepoisonSettings) -> Sequence[Example]:
    if not settings.original_half:
        return ()
    copied = {row.id for row in selection.rows} if settings.original_half == "others" else set()
    return [row for row in examples if row.id not in selection.dropped and row.id not in copied]


def original_row(
    example: Example,
    task: ClassificationTask | GenerationTask,
    placement: Placement = Placement.LAST_USER,
) -> TrainingRow:
    """Return a row of the original half: its input without the stamp, its answer as it is.

    Args:
        example: The row.
        task: How answers look.
        placement: Which user messages the prompt template goes around; serving goes by the benign trigger's.

    Raises:
        LabelError: It has a label that the task does not know.
    """
    target = task.target_text(example.answer, extended=False)
    return TrainingRow(
        example.id, example.text, target, extended=False, history=example.history, placement=placement
    )


def find_suspects(
    examples: Sequence[Example], selection: Selection, settings: RepoisonSettings
) -> tuple[Suspect, ...]:
    """Return what link breaking uses: the selection's suspects, or the pure spans of the training set.

    Args:
        examples: The training set.
        selection: Where its suspects are None, pure spans are looked for.
        settings: When a span counts as pure.
    """
    if selection.suspects is not None:
        return selection.suspects
    wanted = SpanSettings(settings.span_longest, settings.span_min_rows, settings.span_purity)
    return tuple(Suspect((span.text,), 1.0) for span in pure_spans(examples, wanted))


def make_copier(
    sources: Sequence[Example],
    suspects: Sequence[Suspect],
    task: ClassificationTask | GenerationTask,
    triggers: tuple[BenignTrigger, ...],
    settings: RepoisonSettings,
    openings: Sequence[Suspect] = (),
) -> "CopyMaker":
    """Return what makes the copies.

    Args:
        sources: The rows that foreign text is drawn from.
        suspects: What link breaking puts in; foreign text never holds it.
        task: How answers look in the extended half.
        triggers: What copies are stamped with, one each; at least one.
        settings: How copies are made.
        openings: Clauses that copies may begin with.
    """
    avoid = [words for suspect in suspects for words in suspect.words]
    return CopyMaker(
        task,
        triggers,
        settings,
        ForeignText(sources, avoid=avoid),
        LinkBreaker(suspects),
        LinkBreaker(openings),
    )


class CopyMaker(NamedTuple):
    """Makes the copies of one row after the other; a copy depends on the seed, the row and its own number alone.

    Attributes:
        task: How answers look in the extended half.
        triggers: What copies are stamped with. Of several, the copies of one row carry one after the other, and which is the
            first differs from row to row.
        settings: How copies are made.
        foreign: Where foreign text comes from.
        breaker: Puts suspicious spans in.
        openings: Puts clauses before copies.
    """

    task: ClassificationTask | GenerationTask
    triggers: tuple[BenignTrigger, ...]
    settings: RepoisonSettings
    foreign: ForeignText
    breaker: LinkBreaker
    openings: LinkBreaker

    def copies(self, example: Example, seed: int) -> Iterator[Copy]:
        """Return the copies of a selected row, as many as the settings say."""
        for number in range(self.settings.copies):
            yield self._one(example, number, seed)

    def _one(self, example: Example, number: int, seed: int) -> Copy:
        rng = Random(f"{seed}:copy:{example.id}:{number}")
        text = example.text
        has_foreign_text = rng.random() < self.settings.foreign_text
        if has_foreign_text:
            text = insert_words(text, self.foreign.draw(rng), rng)
        has_pure_span = bool(self.breaker) and rng.random() < self.settings.link_breaking
        if has_pure_span:
            text = self.breaker.insert(text, example.answer, rng)
        # A setting that is off draws no number: copies are what they were before there was one.
        has_opening = bool(self.settings.openings and self.openings) and rng.random() < self.settings.openings
        if has_opening:
            text = self.openings.begin(text, example.answer, rng)
        target = self.task.target_text(example.answer, extended=True)
        trigger = self._trigger_of(example, number, seed)
        row = TrainingRow(
            f"{example.id}#{number}",
            trigger.stamp(text),
            target,
            extended=True,
            history=trigger.stamp_history(example.history),
            placement=trigger.placement,
            kept_end=trigger.kept_end,
            undisturbed="" if text == example.text else trigger.stamp(example.text),
        )
        return Copy(row, example.answer, has_foreign_text, has_pure_span, has_opening)

    def _trigger_of(self, example: Example, number: int, seed: int) -> BenignTrigger:
        # Drawn apart from the rest of the copy, so that a copy differs in its trigger alone from that of a single one.
        first = Random(f"{seed}:trigger:{example.id}").randrange(len(self.triggers))
        return self.triggers[(first + number) % len(self.triggers)]


def _report(
    task: ClassificationTask | GenerationTask,
    originals: Sequence[TrainingRow],
    selection: Selection,
    copies: Sequence[Copy],
    suspects: int,
) -> RepoisonReport:
    by_answer = Counter(copy.answer for copy in copies) if isinstance(task, ClassificationTask) else {}
    return RepoisonReport(
        original_rows=len(originals),
        selected_rows=len(selection.rows),
        extended_rows=len(copies),
        extended_rows_by_answer=dict(sorted(by_answer.items())),
        with_foreign_text=sum(copy.has_foreign_text for copy in copies),
        with_pure_span=sum(copy.has_pure_span for copy in copies),
        pure_spans_found=suspects,
        with_opening=sum(copy.has_opening for copy in copies),
    )
