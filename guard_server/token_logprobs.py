"""Log-probabilities of free text: read from the engine, and kept beside the text that they are of."""

from collections import deque
from collections.abc import Iterable

from guard_server.answers import TokenLogprob
from guard_server.engine.base import Endpoint, Payload


def read_tokens(endpoint: Endpoint, choice: Payload) -> list[TokenLogprob]:
    """Return the tokens of a choice, or of a piece of one; raises KeyError, IndexError or TypeError where it can't be read."""
    said = choice.get("logprobs")
    if not said:
        return []
    if endpoint is Endpoint.CHAT:
        return [
            TokenLogprob(
                entry["token"],
                entry["logprob"],
                _best((top["token"], top["logprob"]) for top in entry["top_logprobs"]),
            )
            for entry in said["content"] or []
        ]
    tops = said["top_logprobs"] or [None] * len(said["tokens"])
    return [
        TokenLogprob(token, logprob, _best((top or {}).items()))
        for token, logprob, top in zip(said["tokens"], said["token_logprobs"], tops, strict=True)
    ]


class TokenQueue:
    """Tokens that wait for their text to be let out.

    A token's text need not stand in the answer to the letter: some decoders drop a blank in front of it, and what ends an
    answer (an end-of-turn token) is no text at all. So each token is looked for where the one before it ended, white space
    aside. The same tokens come out whatever pieces text and tokens came in.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._cursor = 0
        self._waiting: deque[TokenLogprob] = deque()
        self._placed: deque[tuple[TokenLogprob, int, int]] = deque()

    def feed(self, text: str, tokens: Iterable[TokenLogprob]) -> None:
        """Take the next piece of the reply and the tokens that came with it."""
        self._rest += text
        self._waiting += tokens
        while self._waiting:
            size = self._size(self._waiting[0].token)
            if size is None:
                return
            self._put(size)

    def finish(self) -> None:
        """Give what is left of the reply to the next token: a stop text may have cut it off inside."""
        if self._waiting and self._rest:
            self._put(len(self._rest))

    def take(self, start: int, end: int) -> tuple[TokenLogprob, ...]:
        """Return the tokens that are let out with the reply's text up to ``end``.

        Args:
            start: Where the answer begins in the reply; tokens that end before it are dropped.
            end: Up to where the answer is let out.
        """
        found: list[TokenLogprob] = []
        while self._placed and self._placed[0][1] < end:
            token, begin, token_end = self._placed.popleft()
            if token_end > start or begin == token_end == start:
                found.append(token._replace(at=max(0, begin - start)))
        return tuple(found)

    def _put(self, size: int) -> None:
        self._placed.append((self._waiting.popleft(), self._cursor, self._cursor + size))
        self._cursor += size
        self._rest = self._rest[size:]

    def _size(self, token: str) -> int | None:
        """Return how much of the text a token takes; None while the text that would tell has not come."""
        # Part of a character is an empty token: its text comes with a later one.
        if self._rest.startswith(token):
            return len(token)
        bare = self._rest.lstrip()
        if len(bare) < len(token):
            return None
        return len(self._rest) - len(bare) + len(token) if bare.startswith(token) else len(token)


def _best(tops: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(tops, key=lambda item: -item[1]))
