"""What the pipeline gives back: whole answers, or the pieces of a stream."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """What became of a request."""

    PROJECTED = "projected"
    ESCAPED = "escaped"
    RETRIED = "retried"
    REFUSED = "refused"
    ERROR = "error"
    UNGUARDED = "unguarded"
    CANCELLED = "cancelled"
    """The client went before its answer was whole."""


_SEVERITY = (Outcome.ESCAPED, Outcome.RETRIED, Outcome.UNGUARDED, Outcome.PROJECTED)


class Verdict(NamedTuple):
    """What the client is told of an answer, or of all answers to one request.

    Attributes:
        outcome: What became of it.
        free_run_extended: Whether the model, left free, answered in the extended half; None where it was not left free.
    """

    outcome: Outcome
    free_run_extended: bool | None = None

    @classmethod
    def of_all(cls, verdicts: Iterable["Verdict"]) -> "Verdict":
        """Return the verdict on several answers: the outcome that says most, and extended only when all were."""
        found = list(verdicts)
        outcomes = {verdict.outcome for verdict in found}
        frees = [verdict.free_run_extended for verdict in found]
        return cls(
            next(outcome for outcome in _SEVERITY if outcome in outcomes),
            None if None in frees else all(frees),
        )


class Answer(NamedTuple):
    """One choice, projected.

    Attributes:
        text: A label's name, or the normalised answer.
        finish_reason: OpenAI's.
        verdict: What is told of it.
        logprobs: Natural log-probability of each label, by name; for classification alone.
    """

    text: str
    finish_reason: str
    verdict: Verdict
    logprobs: dict[str, float] | None = None


class Usage(NamedTuple):
    """Tokens; those of a prefix are counted neither in the prompt nor in the answer."""

    prompt_tokens: int
    completion_tokens: int


class Reply(NamedTuple):
    """All answers to one request, and how many seconds the engine took."""

    answers: tuple[Answer, ...]
    usage: Usage
    engine_seconds: float

    @property
    def verdict(self) -> Verdict:
        """The verdict on all answers."""
        return Verdict.of_all(answer.verdict for answer in self.answers)


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer; the last one of a choice has its finish reason."""

    index: int
    text: str
    finish_reason: str | None = None
    logprobs: dict[str, float] | None = None


StreamPiece = Verdict | Delta | Usage
"""A stream is one verdict, then deltas, then the usage."""
