"""Why a version is not served: a few fixed reasons for metrics and health, and a sentence for logs and operators."""

from enum import StrEnum

from guard_server.errors import EngineLoadError, EngineUnavailableError, SignatureError, SourceError
from p2p.errors import (
    AdapterRefusedError,
    BaseModelMismatchError,
    DigestMismatchError,
    LabelWordsError,
)


class RefusalReason(StrEnum):
    """Bounded, without a value of anybody's: it is a metric's label and is shown without a key."""

    SOURCE = "source"
    SIGNATURE = "signature"
    DIGEST = "digest"
    BASE_MODEL = "base_model"
    LABEL_WORDS = "label_words"
    MANIFEST = "manifest"
    CONFIG = "config"
    ENGINE = "engine"
    NO_ANSWER = "no_answer"
    GATE = "gate"
    FAILED = "failed"


_REASONS: tuple[tuple[type[Exception], RefusalReason], ...] = (
    (SourceError, RefusalReason.SOURCE),
    (SignatureError, RefusalReason.SIGNATURE),
    (DigestMismatchError, RefusalReason.DIGEST),
    (BaseModelMismatchError, RefusalReason.BASE_MODEL),
    (LabelWordsError, RefusalReason.LABEL_WORDS),
    (AdapterRefusedError, RefusalReason.MANIFEST),
    (EngineLoadError, RefusalReason.ENGINE),
    (EngineUnavailableError, RefusalReason.ENGINE),
)


class VersionRefusedError(Exception):
    """A version that is not served; what was served is served on.

    Args:
        adapter: The public name.
        reason: One of the fixed ones.
        message: What is wrong and what to do; for operators, it may name paths.
        version: The version, where it is known.
    """

    def __init__(self, adapter: str, reason: RefusalReason, message: str, version: str | None = None) -> None:
        super().__init__(message)
        self.adapter = adapter
        self.reason = reason
        self.message = message
        self.version = version

    @classmethod
    def because(cls, adapter: str, error: Exception, version: str | None = None) -> "VersionRefusedError":
        """Return the refusal that an error means."""
        known = (reason for kind, reason in _REASONS if isinstance(error, kind))
        return cls(adapter, next(known, RefusalReason.CONFIG), str(error), version)
