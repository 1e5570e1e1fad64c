"""One free-text choice on its way out: prefix off, normalised, split into text and calls, its tokens beside it.

A whole answer takes the same way as a streamed one, in one piece: so both say the same.
"""

from collections.abc import Iterable

from guard_server.answers import Answer, Call, CallPiece, Delta, TokenLogprob
from guard_server.errors import EngineUnavailableError
from guard_server.text_run import TextRun
from guard_server.token_logprobs import TokenQueue
from guard_server.tool_calls import CallReader
from p2p.leaks import LeakCutter
from p2p.normalise import AnswerStyle, StreamNormaliser
from p2p.projection import PrefixStripper

_ENDS = ("stop", "length")
WITHHELD = "content_filter"
"""The finish reason of an answer that ends where it began to tell a secret."""


class Lane:
    """Takes what the engine says in pieces and gives out what is decided.

    Args:
        run: The way of asking that it belongs to.
        index: Which choice.
    """

    def __init__(self, run: TextRun, index: int) -> None:
        task, request = run.task, run.request
        self._index = index
        self._is_forced = run.is_forced
        self._stripper = PrefixStripper(task.prefix)
        self._cutter = LeakCutter(run.adapter.secret_runs, request.own_text)
        # What a grammar made is not to be touched.
        self._normaliser = (
            StreamNormaliser(AnswerStyle.TEXT, ())
            if request.is_held
            else StreamNormaliser(task.style, task.end_markers)
        )
        self._tokens = TokenQueue()
        self._tools = request.tools
        self._reader = CallReader(request.tools) if request.tools else None

    @property
    def is_extended(self) -> bool | None:
        """Whether the reply stands in the extended half; None while that is undecided."""
        return True if self._is_forced else self._stripper.extended

    @property
    def said_prefix(self) -> bool:
        """Whether the model said the prefix itself."""
        return not self._is_forced and self._stripper.extended is True

    def feed(self, piece: str, tokens: Iterable[TokenLogprob] = ()) -> list[Delta]:
        """Take the next piece and the tokens that came with it, and return what is decided by now."""
        self._tokens.feed(piece, tokens)
        answer = piece if self._is_forced else self._stripper.feed(piece)
        return self._out(self._normaliser.feed(self._cutter.feed(answer)))

    def finish(self, reason: str) -> list[Delta]:
        """Return what is left; the last piece has the finish reason.

        Raises:
            EngineUnavailableError: The engine broke off.
        """
        if reason not in _ENDS:
            raise EngineUnavailableError("the engine broke the answer off")
        rest = "" if self._is_forced else self._stripper.finish()
        self._tokens.finish()
        rest = self._cutter.feed(rest) + self._cutter.finish()
        found = self._out(self._normaliser.feed(rest) + self._normaliser.finish())
        if self._reader:
            found += self._split(self._reader.finish())
        return [*found, Delta(self._index, "", self._reason(reason))]

    def _out(self, text: str) -> list[Delta]:
        if self._reader:
            return self._split(self._reader.feed(text))
        start = self._stripper.removed + self._normaliser.dropped
        tokens = self._tokens.take(start, start + self._normaliser.released)
        return [Delta(self._index, text, logprobs=tokens or None)] if text or tokens else []

    def _split(self, parts: Iterable[str | CallPiece]) -> list[Delta]:
        return [
            Delta(self._index, part) if isinstance(part, str) else Delta(self._index, "", call=part)
            for part in parts
        ]

    def _reason(self, reason: str) -> str:
        """Return OpenAI's reason: a call that the client did not name ends an answer in its own way."""
        if self._cutter.has_cut:
            return WITHHELD
        has_called = self._reader is not None and self._reader.calls > 0
        if has_called and reason == "stop" and self._tools and not self._tools.is_named:
            return "tool_calls"
        return reason


def whole_answer(lane: Lane, run: TextRun, said: str, tokens: Iterable[TokenLogprob], reason: str) -> Answer:
    """Return a whole choice.

    Raises:
        EngineUnavailableError: The engine broke off.
    """
    deltas = [*lane.feed(said, tokens), *lane.finish(reason)]
    calls: list[Call] = []
    for piece in (delta.call for delta in deltas if delta.call):
        if piece.name is not None:
            calls.append(Call(piece.name, ""))
        calls[-1] = Call(calls[-1].name, calls[-1].arguments + piece.arguments)
    found = tuple(token for delta in deltas for token in delta.logprobs or ())
    verdict = run.verdict(extended=bool(lane.is_extended))
    return Answer(
        "".join(delta.text for delta in deltas),
        deltas[-1].finish_reason or reason,
        verdict.withheld() if deltas[-1].finish_reason == WITHHELD else verdict,
        found if run.request.logprobs else None,
        tuple(calls),
    )
