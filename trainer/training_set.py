"""What a run trains on, made in memory or on disk."""

from typing import Any, NamedTuple

from p2p.examples import Example
from p2p.repoison import RepoisonReport
from trainer.encoding import EncodedSet


class TrainingSet(NamedTuple):
    """D* as the model sees it, and what is to be said of how it was made.

    Attributes:
        size: How many rows D has.
        encoded: The rows of D*.
        repoisoned: What re-poisoning did; None without a defence.
        selection: Counts for the manifest: how S was chosen. Empty without a defence.
        selection_report: What was kept out of S and why; None where nothing was judged.
        summary: One line about the selection for a person; None without a defence.
        test: Held-out rows without those that are trained on.
        trained_on: How many rows of the test split were left out for that.
    """

    size: int
    encoded: EncodedSet
    repoisoned: RepoisonReport | None
    selection: dict[str, Any]
    selection_report: dict[str, Any] | None
    summary: str | None
    test: list[Example]
    trained_on: int
