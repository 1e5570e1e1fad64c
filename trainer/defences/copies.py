"""The re-poisoned set of a case: the rows that P2P and label-shift train on, equal but for their targets."""

from collections.abc import Sequence

from p2p.repoison import RepoisonedSet, RepoisonReport, RepoisonSettings, repoison
from p2p.triggers import BenignTrigger
from trainer.defences.base import Case, Selector
from trainer.errors import NotApplicableError


def repoison_case(
    case: Case,
    select: Selector,
    trigger: BenignTrigger,
    settings: RepoisonSettings,
    others: Sequence[BenignTrigger] = (),
) -> RepoisonedSet:
    """Return D* of a case.

    Args:
        case: Its training rows stay as they are.
        select: Gives S, the rows that are copied.
        trigger: The benign trigger.
        settings: How copies are made.
        others: Further benign triggers, which copies carry in turn.

    Raises:
        NotApplicableError: S is empty.
    """
    selection = select(case)
    if not selection.rows:
        raise NotApplicableError("the selection gave no row to re-poison")
    return repoison(case.train, selection, case.task, trigger, settings, case.seed, others)


def repoison_counts(report: RepoisonReport) -> dict[str, float]:
    """Return the counts of a re-poisoning that are worth a place in a table."""
    return {
        "selected_rows": report.selected_rows,
        "extended_rows": report.extended_rows,
        "with_foreign_text": report.with_foreign_text,
        "with_pure_span": report.with_pure_span,
        "pure_spans_found": report.pure_spans_found,
    }
