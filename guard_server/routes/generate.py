"""``/v1/chat/completions`` and ``/v1/completions``: the same work, written in two shapes."""

import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any, TypeVar

import orjson
import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import Counter

from guard_server import responses
from guard_server.adapter import LoadedAdapter
from guard_server.answers import Outcome, Pieces, Reply, Verdict
from guard_server.audit import AuditedPipeline
from guard_server.errors import EngineUnavailableError, ModelNotFoundError, RefusedAnswerError
from guard_server.metrics import UNKNOWN_ADAPTER, GuardMetrics
from guard_server.middleware.direct import Endpoint
from guard_server.middleware.probe_keys import is_probe
from guard_server.prompt_guard import GuardRequest, parse_chat, parse_completion
from guard_server.readiness import Readiness
from guard_server.responses import Envelope
from guard_server.routes.disconnect import ClientGoneError, unless_gone
from guard_server.routes.event_stream import EventStream, verdict_headers
from guard_server.settings import Limits

_log = structlog.get_logger()
CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"
T = TypeVar("T")


class GenerateRoutes:
    """Answers requests and counts what became of them.

    Args:
        pipeline: Does the work.
        metrics: Counts.
        readiness: Is told of the engine's answers.
        limits: What a request may take.

    Attributes:
        router: The routes.
        endpoints: What answers POST at each path.
    """

    def __init__(
        self, pipeline: AuditedPipeline, metrics: GuardMetrics, readiness: Readiness, limits: Limits
    ) -> None:
        self.router = APIRouter()
        self._pipeline = pipeline
        self._metrics = metrics
        self._readiness = readiness
        self._limits = limits
        self.endpoints: dict[str, Endpoint] = {CHAT_PATH: self.chat, COMPLETIONS_PATH: self.completions}
        # Plain routes: FastAPI's own would look for arguments to fill at every request, which costs a tenth of it.
        for path, endpoint in self.endpoints.items():
            self.router.add_route(path, endpoint, ["POST"])

    async def chat(self, request: Request) -> Response:
        """Answer a chat."""
        return await self._serve(request, parse_chat)

    async def completions(self, request: Request) -> Response:
        """Answer a prompt."""
        return await self._serve(request, parse_completion)

    async def _serve(self, request: Request, parse: Callable[[bytes, Limits], GuardRequest]) -> Response:
        started = time.perf_counter()
        asked = parse(await request.body(), self._limits)._replace(is_probe=is_probe(request.scope))
        with ExitStack() as held:
            adapter = self._picked(asked, held)
            try:
                if asked.stream:
                    return await self._streamed(request, asked, adapter, held, started)
                return await self._whole(request, asked, adapter, started)
            except ClientGoneError:
                # Nobody reads it; the status is the one that proxies log for a client that went.
                return Response(status_code=499)

    def _picked(self, asked: GuardRequest, held: ExitStack) -> LoadedAdapter:
        """Pick the adapter, once: whatever the name comes to stand for meanwhile, the whole answer is this one's."""
        try:
            return held.enter_context(self._pipeline.hold(asked.model))
        except ModelNotFoundError:
            # Any name may come from a client: as a label it would be unbounded.
            self._counter(asked).labels(UNKNOWN_ADAPTER, asked.shape, Outcome.ERROR).inc()
            raise
        except EngineUnavailableError:
            self._count(asked, Outcome.ERROR)
            raise

    async def _whole(
        self, request: Request, asked: GuardRequest, adapter: LoadedAdapter, started: float
    ) -> Response:
        reply: Reply = await self._counted(request, asked, self._pipeline.respond(asked, adapter))
        envelope = Envelope.make(asked, adapter)
        content = orjson.dumps(responses.whole(envelope, asked, reply))
        self._ended(asked, adapter, reply.verdict.outcome, started)
        if not asked.is_probe:
            overhead = time.perf_counter() - started - reply.engine_seconds
            self._metrics.overhead.labels(asked.model).observe(max(0.0, overhead))
        headers = verdict_headers(reply.verdict)
        return Response(content, media_type="application/json", headers=headers)

    async def _streamed(
        self,
        request: Request,
        asked: GuardRequest,
        adapter: LoadedAdapter,
        held: ExitStack,
        started: float,
    ) -> Response:
        """Wait for the verdict, so that a failure before it is a plain error with its status."""
        pieces = self._pipeline.stream(asked, adapter)
        try:
            verdict = await self._counted(request, asked, _verdict_of(pieces))
        except BaseException:
            await pieces.aclose()
            raise
        if not asked.is_probe:
            waited = time.perf_counter() - started
            self._metrics.first_token.labels(asked.model).observe(waited)
        until_the_end = held.pop_all()

        def ended(outcome: Outcome) -> None:
            with until_the_end:
                self._ended(asked, adapter, outcome, started)

        return EventStream(asked, Envelope.make(asked, adapter), verdict, pieces, ended)

    async def _counted(self, request: Request, asked: GuardRequest, work: Coroutine[Any, Any, T]) -> T:
        """Do the work while the client is there; count what does not end in an answer."""
        try:
            return await unless_gone(request.scope, request.receive, work)
        except ClientGoneError:
            self._count(asked, Outcome.CANCELLED)
            raise
        except RefusedAnswerError:
            self._count(asked, Outcome.REFUSED)
            raise
        except Exception as error:
            self._count(asked, Outcome.ERROR)
            if isinstance(error, EngineUnavailableError):
                _log.error("engine_unavailable", adapter=asked.model)
            raise

    def _ended(self, asked: GuardRequest, adapter: LoadedAdapter, outcome: Outcome, started: float) -> None:
        self._count(asked, outcome)
        if not asked.is_probe:
            took = time.perf_counter() - started
            self._metrics.duration.labels(asked.model).observe(took)
        if outcome not in {Outcome.ERROR, Outcome.CANCELLED}:
            self._readiness.heard_of(adapter.target)

    def _count(self, asked: GuardRequest, outcome: Outcome) -> None:
        self._counter(asked).labels(asked.model, asked.shape, outcome).inc()

    def _counter(self, asked: GuardRequest) -> Counter:
        return self._metrics.probe_requests if asked.is_probe else self._metrics.requests


async def _verdict_of(pieces: Pieces) -> Verdict:
    first, *more = await anext(pieces)
    if more or not isinstance(first, Verdict):
        raise TypeError("a stream begins with its verdict")
    return first
