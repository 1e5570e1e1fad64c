"""Which label word a model says, token by token: held to some, as an engine with a grammar is, or free to say anything."""

from collections.abc import Callable, Mapping, Sequence

from trainer.encoding import EncodedRow

Scores = Mapping[int, float]
"""How likely tokens are to come next, on any scale that keeps their order; every token of every word is there."""


def said_words(
    rows: Sequence[EncodedRow],
    words: Sequence[tuple[int, ...]],
    begun: Sequence[Scores],
    score: Callable[[Sequence[EncodedRow]], Sequence[Scores]],
) -> list[int]:
    """Return which of the words the model says after each prompt.

    At each step the most likely token is taken of those that go on with a word. Where a word is known by its first token, the
    first step is all; later steps are asked only for rows that are undecided.

    Args:
        rows: The prompts, each with one token in the answer's place.
        words: The tokens of the words that the model is held to; none begins another.
        begun: The scores where the answers begin, one for each row.
        score: Asks the model for the scores of a later step.

    Returns:
        For each row, the index of its word in ``words``.
    """
    said: list[tuple[int, ...]] = [() for _ in rows]
    left, scores = list(range(len(rows))), begun
    while left:
        for at, found in zip(left, scores, strict=True):
            said[at] = (*said[at], _best(found, said[at], words))
        left = [at for at in left if len(_going_on(said[at], words)) > 1]
        scores = score([_with_answer(rows[at], said[at]) for at in left]) if left else ()
    return [words.index(_going_on(tokens, words)[0]) for tokens in said]


def freely_said_words(
    rows: Sequence[EncodedRow],
    words: Sequence[tuple[int, ...]],
    say: Callable[[Sequence[EncodedRow]], Sequence[int]],
) -> list[int | None]:
    """Return which of the words the model says after each prompt with its whole vocabulary open.

    Args:
        rows: The prompts, each with one token in the answer's place.
        words: The tokens of the words that are known; none begins another.
        say: Asks the model for its most likely next token, after each of some prompts.

    Returns:
        For each row, the index of its word in ``words``; None as soon as what is said begins no word.
    """
    said: list[tuple[int, ...]] = [() for _ in rows]
    left = list(range(len(rows)))
    while left:
        asked = [_with_answer(rows[at], said[at]) for at in left]
        for at, token in zip(left, say(asked), strict=True):
            said[at] = (*said[at], token)
        left = [at for at in left if said[at] not in words and _going_on(said[at], words)]
    return [words.index(tokens) if tokens in words else None for tokens in said]


def _going_on(said: tuple[int, ...], words: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [word for word in words if word[: len(said)] == said]


def _best(scores: Scores, said: tuple[int, ...], words: Sequence[tuple[int, ...]]) -> int:
    return max((word[len(said)] for word in _going_on(said, words)), key=scores.__getitem__)


def _with_answer(row: EncodedRow, said: tuple[int, ...]) -> EncodedRow:
    prompt = row.ids[:-1]
    return EncodedRow(row.id, (*prompt, *said, prompt[-1]), len(prompt) + len(said))
