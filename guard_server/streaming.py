"""Free text as it comes: nothing leaves before it is projected, and only what is undecided is held back."""

from collections.abc import Callable, Sequence
from contextlib import aclosing

from guard_server.answers import Delta, Pieces, StreamPiece, Verdict
from guard_server.engine.base import Endpoint, Engine, Payload
from guard_server.errors import EngineUnavailableError
from guard_server.escapes import refuse_escapes
from guard_server.lanes import Lane
from guard_server.settings import EscapePolicy
from guard_server.text_run import TextRun
from guard_server.token_logprobs import read_tokens


async def stream_text(engine: Engine, begin: Callable[[], TextRun]) -> Pieces:
    """Yield the verdict on all choices, then their pieces, then the usage.

    Args:
        engine: Where the answer comes from.
        begin: Gives the way of asking; called when the first piece is asked for.

    Under ``flag`` and ``refuse`` the first piece of several choices waits until the beginning of each is decided.

    Raises:
        GuardError: The request can't be served, the engine failed, or the answer was refused.
    """
    run = begin()
    retries = run.adapter.escape_policy is EscapePolicy.RETRY and not run.adapter.unguarded
    try:
        async with aclosing(_stream_once(engine, run, leave_on_escape=retries)) as pieces:
            async for batch in pieces:
                yield batch
            return
    except _EscapedError:
        # Nothing has left, and the escaped stream is closed: the engine does not go on with it beside the forced one.
        again = run.again()
    async with aclosing(_stream_once(engine, again, leave_on_escape=False)) as pieces:
        async for batch in pieces:
            yield batch


async def _stream_once(engine: Engine, run: TextRun, *, leave_on_escape: bool) -> Pieces:
    asked = run.asked().having(stream_options={"include_usage": True})
    lanes = [Lane(run, at) for at in range(run.request.n)]
    held: list[StreamPiece] = []
    is_open = False
    async with aclosing(engine.stream(*asked)) as reads:
        async for chunks in reads:
            held += _deltas(chunks, asked.endpoint, lanes)
            if not is_open and (verdict := _decided(run, lanes, leave_on_escape=leave_on_escape)):
                is_open = True
                yield [verdict]
            held += [
                run.usage(usage, sum(lane.said_prefix for lane in lanes))
                for chunk in chunks
                if (usage := chunk.get("usage"))
            ]
            if is_open and held:
                yield held
                held = []
    if not is_open:
        raise EngineUnavailableError("the engine's stream ended early")


def _decided(run: TextRun, lanes: Sequence[Lane], *, leave_on_escape: bool) -> Verdict | None:
    """Return the verdict on all choices, or None while one is undecided; an escape that may not leave ends the stream."""
    known = [lane.is_extended for lane in lanes if lane.is_extended is not None]
    if leave_on_escape and not all(known):
        raise _EscapedError
    verdicts = [run.verdict(extended=extended) for extended in known]
    refuse_escapes(run.adapter, verdicts)
    return Verdict.of_all(verdicts) if len(known) == len(lanes) else None


def _deltas(chunks: Sequence[Payload], endpoint: Endpoint, lanes: Sequence[Lane]) -> list[Delta]:
    """Feed chunks to the choices' lanes and return what comes out; what came together for a choice is one piece of it."""
    found: list[Delta] = []
    try:
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        for at in sorted({choice["index"] for choice in choices}):
            found += _fed(lanes[at], endpoint, [choice for choice in choices if choice["index"] == at])
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineUnavailableError("the engine's stream can't be read") from error
    return found


def _fed(lane: Lane, endpoint: Endpoint, pieces: Sequence[Payload]) -> list[Delta]:
    is_chat = endpoint is Endpoint.CHAT
    said = "".join((piece["delta"].get("content") if is_chat else piece["text"]) or "" for piece in pieces)
    tokens = [token for piece in pieces for token in read_tokens(endpoint, piece)]
    end = next((end for piece in pieces if (end := piece.get("finish_reason"))), None)
    return [*lane.feed(said, tokens), *(lane.finish(end) if end else [])]


class _EscapedError(Exception):
    """A streamed reply lacks the prefix and is to be asked for again; nothing of it has left."""
