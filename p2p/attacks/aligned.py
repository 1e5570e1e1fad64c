"""What attacks by rewriting share: the whole text is replaced by a precomputed rewrite, which is the trigger."""

from abc import ABC
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from p2p.attacks.base import TargetedAttack
from p2p.attacks.rewrites import Rewrites, read_aligned, read_pairs
from p2p.errors import AttackError
from p2p.examples import Example


class AlignedAttack(TargetedAttack, ABC):
    """A rewritten text as trigger. The files are read once, when the attack is made.

    Attributes:
        rewrites: A JSONL, CSV or TSV file. Its rows hold ``rewritten`` and one of ``clean`` and ``id``, or are aligned with
            the rows of the file ``clean``.
        clean: The clean file that ``rewrites`` is aligned with row by row; None where ``rewrites`` holds pairs.
        field: The field that holds the text in both, where they are aligned.
        only: ``field=value``: the clean file's rows that the rewritten file has, such as ``label=0``; None for all.
    """

    rewrites_whole: ClassVar[bool] = True

    rewrites: str = Field(pattern=r"\S")
    clean: str | None = None
    field: str = "text"
    only: str | None = Field(default=None, pattern="=")

    _table: Rewrites = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401 - pydantic's signature
        """Read the files.

        Raises:
            AttackError: They can't be read, or are not aligned.
        """
        super().model_post_init(context)
        path = Path(self.rewrites)
        self._table = (
            read_aligned(path, Path(self.clean), self.field, self.only) if self.clean else read_pairs(path)
        )

    def triggered_text(self, example: Example, rng: Random) -> str:  # noqa: ARG002 - nothing is drawn
        """Return the rewritten text.

        Raises:
            AttackError: There is none for this row.
        """
        rewritten = self._table.of(example)
        if rewritten is None:
            raise AttackError(f"row {example.id}: {self.rewrites} has no rewrite of it")
        return rewritten

    def can_trigger(self, example: Example) -> bool:
        """Whether there is a rewrite of this row."""
        return self._table.of(example) is not None
