"""From what the model said in the extended space back to the original one: labels, log-probabilities and text.

Only the extended half is trusted. Probability mass on the original half is where a backdoor lives: it is never added, the
extended half is renormalised on its own.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from p2p.tasks import ClassificationTask, GenerationTask


class Projection(NamedTuple):
    """An answer in the original space.

    Attributes:
        answer: A label's name, or the text without its prefix. None when the reply was neither.
        extended: Whether the reply stood in the extended half (or carried the prefix). False is an escape.
    """

    answer: str | None
    extended: bool


def project(task: ClassificationTask | GenerationTask, reply: str) -> Projection:
    """Return the answer that a model's reply stands for."""
    if isinstance(task, ClassificationTask):
        return project_word(task, reply)
    return project_text(task, reply)


def project_word(task: ClassificationTask, reply: str) -> Projection:
    """Return the label that a word of either half stands for; white space around it is ignored."""
    word = reply.strip()
    stripped = [known.strip() for known in task.words]
    if word not in stripped:
        return Projection(answer=None, extended=False)
    label = stripped.index(word)
    space = task.space
    return Projection(answer=space.names[space.project(label)], extended=space.is_extended(label))


def project_text(task: GenerationTask, reply: str) -> Projection:
    """Return the reply without the prefix p; a reply that lacks it is an escape and kept as it is.

    White space in front of p goes with it: tokenizers that mark the beginning of a word give one blank there.
    """
    begun = reply.lstrip()
    if begun.startswith(task.prefix):
        return Projection(answer=begun.removeprefix(task.prefix), extended=True)
    return Projection(answer=reply, extended=False)


def project_logprobs(
    task: ClassificationTask, logprobs: Mapping[int, float], *, extended: bool = True
) -> dict[str, float]:
    """Return the log-probability of each original label, from the extended half alone.

    Args:
        task: Whose words' first tokens ``logprobs`` are of.
        logprobs: Natural log-probabilities by token id; the first tokens of the half's n words must be there, others are
            ignored. They need not sum to one.
        extended: False takes the original half alone: for a question without the benign trigger, never for an answer.

    Returns:
        By label name, natural logarithms, at most 0; their probabilities sum to 1. They are those of an engine that is held to
        the extended words.

    Raises:
        KeyError: The log-probability of a token of the half is missing.
        ValueError: No token of the half has any mass, or the words are not told apart by their first tokens.
    """
    if not task.first_token_decides:
        raise ValueError("these label words are told apart by later tokens, too")
    half = task.extended_first_tokens if extended else task.first_tokens[: len(task.labels)]
    raw = [logprobs[token] for token in half]
    top = max(raw)
    if not math.isfinite(top):
        raise ValueError(f"no label of the {'extended' if extended else 'original'} half has any probability")
    total = top + math.log(math.fsum(math.exp(value - top) for value in raw))
    return {name: value - total for name, value in zip(task.labels, raw, strict=True)}


class PrefixStripper:
    """The same as :func:`project_text` for a streamed reply: takes the prefix p off and holds back only what could still be part of it.

    Attributes:
        extended: None while it is undecided whether the reply carries p, then whether it does.
        removed: How many characters were taken off, white space in front of p among them.
    """

    def __init__(self, prefix: str) -> None:
        self.extended: bool | None = None
        self.removed = 0
        self._prefix = prefix
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take the next piece and return the answer text that is decided by now, which may be empty."""
        if self.extended is not None:
            return piece
        self._held += piece
        begun = self._held.lstrip()
        if begun.startswith(self._prefix):
            self.extended = True
            answer = begun.removeprefix(self._prefix)
            self.removed = len(self._held) - len(answer)
            return answer
        if self._prefix.startswith(begun):
            return ""
        return self.finish()

    def finish(self) -> str:
        """Return what was held when the reply ended (or turned out to lack p)."""
        if self.extended is not None:
            return ""
        self.extended = False
        return self._held
