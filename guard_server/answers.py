"""What the pipeline gives back: whole answers, or the pieces of a stream."""

import math
from collections.abc import AsyncGenerator, Iterable
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
    WITHHELD = "withheld"
    """The answer ends where it began to tell the benign trigger or the prefix."""
    CANCELLED = "cancelled"
    """The client went before its answer was whole."""


class TokenLogprob(NamedTuple):
    """A token of an answer; a label is one.

    Attributes:
        token: Its text.
        logprob: Its natural log-probability.
        top: The likeliest tokens in its place with theirs, the best first; all labels for a label.
        at: Where it begins in the answer, in characters.
    """

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...]
    at: int = 0

    @property
    def probabilities(self) -> dict[str, float]:
        """The probability of each of the likeliest."""
        return {token: math.exp(value) for token, value in self.top}


class Views(StrEnum):
    """What a second view of the input said."""

    AGREE = "agree"
    DISAGREE = "disagree"


_SEVERITY = (Outcome.ESCAPED, Outcome.WITHHELD, Outcome.RETRIED, Outcome.UNGUARDED, Outcome.PROJECTED)


class Verdict(NamedTuple):
    """What the client is told of an answer, or of all answers to one request.

    Attributes:
        outcome: What became of it.
        free_run_extended: Whether the model, left free, answered in the extended half; None where it was not left free.
        views: Whether both views of the input agree; None where it was not asked twice.
    """

    outcome: Outcome
    free_run_extended: bool | None = None
    views: Views | None = None

    def withheld(self) -> "Verdict":
        """Return the verdict on an answer that was ended early; an escape stays one, so that its policy applies."""
        return self if self.outcome is Outcome.ESCAPED else self._replace(outcome=Outcome.WITHHELD)

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


class Call(NamedTuple):
    """A call of a function, its arguments as JSON text."""

    name: str
    arguments: str


class Answer(NamedTuple):
    """One choice, projected.

    Attributes:
        text: A label's name, or the normalised answer.
        finish_reason: OpenAI's.
        verdict: What is told of it.
        logprobs: Its tokens; None where they are not known.
        calls: The functions that it calls.
    """

    text: str
    finish_reason: str
    verdict: Verdict
    logprobs: tuple[TokenLogprob, ...] | None = None
    calls: tuple[Call, ...] = ()


class Usage(NamedTuple):
    """Tokens; those of a prefix are counted neither in the prompt nor in the answer."""

    prompt_tokens: int
    completion_tokens: int


class Reply(NamedTuple):
    """All answers to one request, and how many seconds the engine took."""

    answers: tuple[Answer, ...]
    usage: Usage
    engine_seconds: float
    views: Views | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict on all answers."""
        return Verdict.of_all(answer.verdict for answer in self.answers)._replace(views=self.views)


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a call: the first one has its name."""

    position: int
    arguments: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer; the last one of a choice has its finish reason."""

    index: int
    text: str
    finish_reason: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    call: CallPiece | None = None


StreamPiece = Verdict | Delta | Usage
"""A stream is one verdict, then deltas, then the usage."""

Pieces = AsyncGenerator[list[StreamPiece], None]
"""A stream, those pieces together that are there together: each list costs one step of every generator and one write. The verdict comes
alone."""
