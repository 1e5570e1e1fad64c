"""``/v1/chat/completions`` and ``/v1/completions``: the same work, written in two shapes."""

import time
from collections.abc import AsyncIterator, Callable

import orjson
import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from guard_server import responses
from guard_server.errors import (
    EngineUnavailableError,
    GuardError,
    ModelNotFoundError,
    OverloadedError,
    RefusedAnswerError,
)
from guard_server.metrics import UNKNOWN_ADAPTER, GuardMetrics
from guard_server.pipeline import Delta, GuardPipeline, Outcome, Usage
from guard_server.prompt_guard import GuardRequest, parse_chat, parse_completion
from guard_server.readiness import Readiness
from guard_server.responses import Envelope
from guard_server.schemas import WireObject
from guard_server.settings import Limits

_log = structlog.get_logger()
_OUTCOME = "x-p2p-guard-outcome"


class GenerateRoutes:
    """Answers requests and counts what became of them.

    Args:
        pipeline: Does the work.
        metrics: Counts.
        readiness: Is told of the engine's answers.
        limits: What a request may take.
    """

    def __init__(
        self, pipeline: GuardPipeline, metrics: GuardMetrics, readiness: Readiness, limits: Limits
    ) -> None:
        self.router = APIRouter()
        self._pipeline = pipeline
        self._metrics = metrics
        self._readiness = readiness
        self._limits = limits
        self._in_flight = 0
        self.router.post("/v1/chat/completions")(self.chat)
        self.router.post("/v1/completions")(self.completions)

    async def chat(self, request: Request) -> Response:
        """Answer a chat."""
        return await self._serve(await request.body(), parse_chat)

    async def completions(self, request: Request) -> Response:
        """Answer a prompt."""
        return await self._serve(await request.body(), parse_completion)

    async def _serve(self, body: bytes, parse: Callable[[bytes, Limits], GuardRequest]) -> Response:
        started = time.perf_counter()
        if self._in_flight >= self._limits.in_flight:
            raise OverloadedError("too many requests at once; try again shortly")
        asked = parse(body, self._limits)
        try:
            self._pipeline.adapter(asked.model)
        except ModelNotFoundError:
            self._count(asked, Outcome.ERROR, UNKNOWN_ADAPTER)
            raise
        self._enter()
        if asked.stream:
            return await self._begin_stream(asked, started)
        try:
            return await self._whole(asked, started)
        finally:
            self._leave()

    async def _whole(self, asked: GuardRequest, started: float) -> Response:
        try:
            reply = await self._pipeline.respond(asked)
        except GuardError as error:
            self._count_error(asked, error)
            raise
        outcome = responses.outcome_of(reply)
        self._count(asked, outcome, asked.model)
        self._readiness.answered()
        envelope = Envelope.make(asked, self._pipeline.adapter(asked.model))
        content = orjson.dumps(responses.whole(envelope, asked, reply))
        seconds = time.perf_counter() - started
        self._metrics.duration.labels(asked.model, asked.shape).observe(seconds)
        self._metrics.overhead.labels(asked.model, asked.shape).observe(
            max(0.0, seconds - reply.engine_seconds)
        )
        return Response(content, media_type="application/json", headers={_OUTCOME: outcome})

    async def _begin_stream(self, asked: GuardRequest, started: float) -> Response:
        """Wait for the first piece, so that a failure before it is a plain error with its status."""
        pieces = self._pipeline.stream(asked)
        try:
            first = await anext(pieces)
        except BaseException as error:
            self._leave()
            if isinstance(error, GuardError):
                self._count_error(asked, error)
            raise

        async def all_pieces() -> AsyncIterator[Delta | Usage]:
            yield first
            async for piece in pieces:
                yield piece

        return StreamingResponse(self._frames(asked, all_pieces(), started), media_type="text/event-stream")

    async def _frames(
        self, asked: GuardRequest, pieces: AsyncIterator[Delta | Usage], started: float
    ) -> AsyncIterator[bytes]:
        adapter = self._pipeline.adapter(asked.model)
        envelope = Envelope.make(asked, adapter)
        outcome = Outcome.ERROR
        try:
            for index in range(asked.n):
                if begin := responses.first_chunk(envelope, index):
                    yield _frame(begin)
            self._metrics.first_token.labels(asked.model, asked.shape).observe(time.perf_counter() - started)
            async for piece in pieces:
                if isinstance(piece, Delta):
                    yield _frame(responses.chunk(envelope, piece))
                elif asked.include_usage:
                    yield _frame(responses.usage_chunk(envelope, piece))
            outcome = Outcome.UNGUARDED if adapter.unguarded else Outcome.PROJECTED
            self._readiness.answered()
            yield b"data: [DONE]\n\n"
        except GuardError as error:
            outcome = _outcome_of_error(error)
            yield _frame(error.body())
        finally:
            self._leave()
            self._count(asked, outcome, asked.model)
            self._metrics.duration.labels(asked.model, asked.shape).observe(time.perf_counter() - started)

    def _enter(self) -> None:
        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)

    def _leave(self) -> None:
        self._in_flight -= 1
        self._metrics.in_flight.set(self._in_flight)

    def _count_error(self, asked: GuardRequest, error: GuardError) -> None:
        self._count(asked, _outcome_of_error(error), asked.model)
        if isinstance(error, EngineUnavailableError):
            _log.error("engine_unavailable", adapter=asked.model)

    def _count(self, asked: GuardRequest, outcome: Outcome, adapter: str) -> None:
        self._metrics.requests.labels(adapter, asked.shape, outcome).inc()


def _outcome_of_error(error: GuardError) -> Outcome:
    return Outcome.REFUSED if isinstance(error, RefusedAnswerError) else Outcome.ERROR


def _frame(content: WireObject) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"
