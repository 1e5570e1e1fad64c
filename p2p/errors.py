"""Everything that ``p2p`` raises on purpose.

P2PError
├── DataError               a row or a file of examples can't be used
├── LabelError              a label is unknown, or the label set can't be used
├── VerbalizerError         label words that can be told apart can't be had
├── PromptError             a prompt template that would lose the input
├── AttackError             an unknown attack, or parameters it can't use
├── SelectionError          the rows to re-poison can't be chosen
└── AdapterRefusedError     an adapter directory that must not be served
    ├── ManifestMissingError    no manifest: not one of our adapters, or an incomplete copy
    ├── ManifestInvalidError    a manifest that doesn't parse, or contradicts itself
    ├── ManifestTooNewError     written by a later version
    ├── DigestMismatchError     a file was changed, lost or added after the manifest was written
    ├── BaseModelMismatchError  made for another base model or tokenizer
    └── LabelWordsError         label words that collide or split for the tokenizer at hand

Messages say what to do next, and never hold a benign trigger, a prefix or the text of a row.
"""

from pathlib import Path
from typing import NamedTuple


class Location(NamedTuple):
    """Where a faulty value stands: the file, the row (1 is the first) and the field, as far as known."""

    source: str | Path
    row: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        parts = [str(self.source)]
        if self.row is not None:
            parts.append(f"row {self.row}")
        if self.field is not None:
            parts.append(f"field {self.field!r}")
        return ", ".join(parts)


class P2PError(Exception):
    """The root of everything raised on purpose."""


class DataError(P2PError):
    """A row or a file of examples can't be used."""

    def __init__(self, message: str, location: Location | None = None) -> None:
        super().__init__(f"{location}: {message}" if location else message)
        self.location = location


class LabelError(P2PError):
    """A label is unknown, or the label set can't be used."""


class VerbalizerError(P2PError):
    """Label words that can be told apart can't be had from this tokenizer."""


class PromptError(P2PError):
    """A prompt template that would lose the input."""


class AttackError(P2PError):
    """An unknown attack, or parameters it can't use."""


class SelectionError(P2PError):
    """The rows to re-poison can't be chosen."""


class AdapterRefusedError(P2PError):
    """An adapter directory that must not be served."""


class ManifestMissingError(AdapterRefusedError):
    """No manifest: not one of our adapters, or an incomplete copy."""


class ManifestInvalidError(AdapterRefusedError):
    """A manifest that doesn't parse, or contradicts itself."""


class ManifestTooNewError(AdapterRefusedError):
    """A manifest written by a later version."""


class DigestMismatchError(AdapterRefusedError):
    """A file was changed, lost or added after the manifest was written."""


class BaseModelMismatchError(AdapterRefusedError):
    """An adapter made for another base model or tokenizer."""


class LabelWordsError(AdapterRefusedError):
    """Label words that collide or split for the tokenizer at hand."""
