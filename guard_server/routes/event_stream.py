"""A streamed answer on its way to the client: frames, and an account of how it ended."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import orjson
import structlog
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from guard_server import responses
from guard_server.answers import Delta, Outcome, Pieces, StreamPiece, Usage, Verdict
from guard_server.errors import GuardError
from guard_server.lanes import WITHHELD
from guard_server.prompt_guard import GuardRequest
from guard_server.responses import Envelope
from guard_server.routes.disconnect import ClientGoneError, unless_gone
from guard_server.schemas import WireObject

_log = structlog.get_logger()
OUTCOME_HEADER = "x-p2p-guard-outcome"
VIEWS_HEADER = "x-p2p-guard-views"


class EventStream(StreamingResponse):
    """Server-sent events of one answer.

    Args:
        asked: The client's request.
        envelope: What all chunks have in common.
        verdict: The stream's first piece.
        pieces: The rest of it; closed when the response ends, whichever way.
        on_end: Is told the outcome, exactly once.
    """

    def __init__(
        self,
        asked: GuardRequest,
        envelope: Envelope,
        verdict: Verdict,
        pieces: Pieces,
        on_end: Callable[[Outcome], None],
    ) -> None:
        headers = verdict_headers(verdict) | {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(self._frames(), media_type="text/event-stream", headers=headers)
        self._asked = asked
        self._envelope = envelope
        self._verdict = verdict
        self._pieces = pieces
        self._on_end = on_end
        self._outcome = Outcome.CANCELLED
        self._last = b"data: [DONE]\n\n"
        self._is_withheld = False
        self._notes: WireObject = {"p2p_guard": responses.notes(envelope, verdict)}
        # Where a usage chunk ends the stream, OpenAI's other chunks say that theirs is not it.
        self._no_usage: WireObject = {"usage": None} if asked.include_usage else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames; then, or when the client has gone, close the engine's stream."""
        try:
            # The parent's own way starts two tasks for each stream to notice that.
            await unless_gone(scope, receive, self.stream_response(send))
        except ClientGoneError:
            pass
        finally:
            await self._pieces.aclose()
            self._on_end(self._outcome)

    async def stream_response(self, send: Send) -> None:
        """Send the head and the frames; the last one ends the response, which the parent takes another message for."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for frames in self.body_iterator:
            await send({"type": "http.response.body", "body": frames, "more_body": True})
        await send({"type": "http.response.body", "body": self._last, "more_body": False})

    async def _frames(self) -> AsyncIterator[bytes]:
        """Yield the frames, those that leave together as one; how they end stands in ``_last``."""
        try:
            if frames := self._written(self._first_chunks()):
                yield frames
            async for pieces in self._pieces:
                if frames := self._written(chunk for piece in pieces if (chunk := self._chunk(piece))):
                    yield frames
            self._outcome = (self._verdict.withheld() if self._is_withheld else self._verdict).outcome
        except GuardError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - the status has gone out: only a frame can say that it failed
            _log.error("unexpected_error", type=type(error).__name__)
            self._fail(GuardError("the guard failed while it answered"))

    def _fail(self, error: GuardError) -> None:
        """Let the stream end with an error in place of ``[DONE]``."""
        self._outcome = Outcome.ERROR
        self._last = _frame(error.body())

    def _written(self, chunks: Iterable[WireObject]) -> bytes:
        """Return chunks as frames; the stream's first one has the guard's notes."""
        frames = []
        for chunk in chunks:
            frames.append(_frame(chunk | self._notes))
            self._notes = {}
        return b"".join(frames)

    def _first_chunks(self) -> Iterator[WireObject]:
        for index in range(self._asked.n):
            if begin := responses.first_chunk(self._envelope, index):
                yield begin | self._no_usage

    def _chunk(self, piece: StreamPiece) -> WireObject | None:
        if isinstance(piece, Delta):
            self._is_withheld |= piece.finish_reason == WITHHELD
            return responses.chunk(self._envelope, self._asked, piece) | self._no_usage
        if isinstance(piece, Usage) and self._asked.include_usage:
            return responses.usage_chunk(self._envelope, piece)
        return None


def verdict_headers(verdict: Verdict) -> dict[str, str]:
    """Return the headers that tell what became of an answer."""
    views = {VIEWS_HEADER: verdict.views} if verdict.views else {}
    return {OUTCOME_HEADER: verdict.outcome, **views}


def _frame(content: WireObject) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"
