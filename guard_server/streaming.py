"""Free text as it comes: nothing leaves before it is projected, and only what is undecided is held back."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from guard_server.answers import Delta, StreamPiece, Verdict
from guard_server.engine.base import Endpoint, Engine, Payload
from guard_server.errors import EngineUnavailableError
from guard_server.escapes import refuse_escapes
from guard_server.generation import TextRun
from guard_server.settings import EscapePolicy
from p2p.normalise import StreamNormaliser
from p2p.projection import PrefixStripper


async def stream_text(engine: Engine, run: TextRun) -> AsyncGenerator[StreamPiece, None]:
    """Yield the verdict on all choices, then their pieces, then the usage.

    Several choices may escape at different times. Under ``retry`` they are therefore forced from the start; under
    ``flag`` and ``refuse`` the first piece waits until the beginning of every choice is decided.

    Raises:
        GuardError: The request can't be served, the engine failed, or the answer was refused.
    """
    retries = run.adapter.escape_policy is EscapePolicy.RETRY and not run.adapter.unguarded
    if retries and run.request.n > 1:
        run = run._replace(is_forced=True)
    try:
        async with aclosing(_stream_once(engine, run, leave_on_escape=retries)) as pieces:
            async for piece in pieces:
                yield piece
            return
    except _EscapedError:
        # Nothing has left, and the escaped stream is closed: the engine does not go on with it beside the forced one.
        again = run.again()
    async with aclosing(_stream_once(engine, again, leave_on_escape=False)) as pieces:
        async for piece in pieces:
            yield piece


async def _stream_once(
    engine: Engine, run: TextRun, *, leave_on_escape: bool
) -> AsyncGenerator[StreamPiece, None]:
    asked = run.asked().having(stream_options={"include_usage": True})
    lanes = [_Lane(run) for _ in range(run.request.n)]
    held: list[Delta] = []
    is_open = False
    async with aclosing(engine.stream(*asked)) as chunks:
        async for chunk in chunks:
            held += _deltas(chunk, asked.endpoint, lanes)
            if not is_open and (verdict := _decided(run, lanes, leave_on_escape=leave_on_escape)):
                is_open = True
                yield verdict
            if is_open:
                for delta in held:
                    yield delta
                held = []
            if usage := chunk.get("usage"):
                yield run.usage(usage, sum(lane.said_prefix for lane in lanes))
    if not is_open:
        raise EngineUnavailableError("the engine's stream ended early")


def _decided(run: TextRun, lanes: Sequence["_Lane"], *, leave_on_escape: bool) -> Verdict | None:
    """Return the verdict on all choices, or None while one is undecided; an escape that may not leave ends the stream."""
    known = [lane.is_extended for lane in lanes if lane.is_extended is not None]
    if leave_on_escape and not all(known):
        raise _EscapedError
    verdicts = [run.verdict(extended=extended) for extended in known]
    refuse_escapes(run.adapter, verdicts)
    return Verdict.of_all(verdicts) if len(known) == len(lanes) else None


def _deltas(chunk: Payload, endpoint: Endpoint, lanes: Sequence["_Lane"]) -> list[Delta]:
    """Feed a chunk to the choices' lanes and return what comes out."""
    found = []
    try:
        for choice in chunk["choices"]:
            lane, index = lanes[choice["index"]], choice["index"]
            said = choice["delta"].get("content") if endpoint is Endpoint.CHAT else choice["text"]
            if text := lane.feed(said or ""):
                found.append(Delta(index, text))
            if end := choice.get("finish_reason"):
                found.append(Delta(index, lane.finish(), end))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineUnavailableError("the engine's stream can't be read") from error
    return found


class _EscapedError(Exception):
    """A streamed reply lacks the prefix and is to be asked for again; nothing of it has left."""


class _Lane:
    """One streamed choice on its way out."""

    def __init__(self, run: TextRun) -> None:
        self._is_forced = run.is_forced
        self._stripper = PrefixStripper(run.task.prefix)
        self._normaliser = StreamNormaliser(run.task.style, run.task.end_markers)

    @property
    def is_extended(self) -> bool | None:
        """Whether the reply stands in the extended half; None while that is undecided."""
        return True if self._is_forced else self._stripper.extended

    @property
    def said_prefix(self) -> bool:
        """Whether the model said the prefix itself."""
        return not self._is_forced and self._stripper.extended is True

    def feed(self, piece: str) -> str:
        return self._normaliser.feed(piece if self._is_forced else self._stripper.feed(piece))

    def finish(self) -> str:
        rest = "" if self._is_forced else self._stripper.finish()
        return self._normaliser.feed(rest) + self._normaliser.finish()
