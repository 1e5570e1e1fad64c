"""The two-view audit: a share of live requests is also asked without the benign trigger."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, aclosing
from typing import NamedTuple

import structlog

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Answer, Delta, Pieces, Reply, StreamPiece, Views
from guard_server.errors import GuardError, ViewsDisagreeError
from guard_server.metrics import GuardMetrics
from guard_server.pipeline import GuardPipeline, as_pieces
from guard_server.prompt_guard import GuardRequest
from guard_server.settings import AuditAction, AuditMode, AuditSettings
from guard_server.views import TwoViews, ViewComparison, likeliest_label, together
from p2p.tasks import ClassificationTask

_log = structlog.get_logger()


class _Asked(NamedTuple):
    """A comparison that waits to be made; the guarded view may be known already.

    Attributes:
        adapter: The version that answered the client.
        request: What was asked.
        guarded: Its answer, where that is known.
        held: Keeps the version in the engine until it is closed.
    """

    adapter: LoadedAdapter
    request: GuardRequest
    guarded: Answer | None
    held: ExitStack


class AuditedPipeline:
    """Answers as the pipeline does, and compares the two views of some requests.

    Args:
        pipeline: Answers.
        views: Asks both views.
        settings: Which share, and what follows.
        metrics: Counts.
        draw: Gives a number from 0 up to 1 for each request.
    """

    def __init__(
        self,
        pipeline: GuardPipeline,
        views: TwoViews,
        settings: AuditSettings,
        metrics: GuardMetrics,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._pipeline = pipeline
        self._views = views
        self._settings = settings
        self._metrics = metrics
        self._draw = draw
        self._queue: asyncio.Queue[_Asked] = asyncio.Queue(settings.queue)

    def hold(self, name: str) -> AbstractContextManager[LoadedAdapter]:
        """Pick the version that answers one request, both views of it; see :meth:`GuardPipeline.hold`."""
        return self._pipeline.hold(name)

    async def respond(self, request: GuardRequest, adapter: LoadedAdapter) -> Reply:
        """Return the whole answer of the version that the request holds.

        Raises:
            GuardError: As the pipeline; in ``enforce`` mode also where the second view failed, or is refused.
        """
        if self._enforces(adapter, request):
            return await self._judged(request, adapter)
        reply = await self._pipeline.respond(request, adapter)
        known = reply.answers[0].logprobs if _answers_with_label(adapter) else None
        self._offer(adapter, request, likeliest_label(known))
        return reply

    def stream(self, request: GuardRequest, adapter: LoadedAdapter) -> Pieces:
        """Give the answer in pieces. One that waits for the second view comes as a whole."""
        if not self._settings.share:
            return self._pipeline.stream(request, adapter)
        return self._stream_compared(request, adapter)

    async def _stream_compared(self, request: GuardRequest, adapter: LoadedAdapter) -> Pieces:
        if self._enforces(adapter, request):
            for batch in as_pieces(await self._judged(request, adapter)):
                yield batch
            return
        guarded: Answer | None = None
        async with aclosing(self._pipeline.stream(request, adapter)) as pieces:
            async for batch in pieces:
                guarded = guarded or _label_in(batch, adapter)
                yield batch
        self._offer(adapter, request, guarded)

    async def work(self) -> None:
        """Make the background comparisons until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.concurrency):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            asked = await self._queue.get()
            try:
                with asked.held:
                    self._count(asked.adapter, await self._compare(asked))
            except Exception as error:  # noqa: BLE001 - one comparison that fails may not end the audit
                self._metrics.view_dropped.labels(asked.adapter.name).inc()
                if not isinstance(error, GuardError):
                    _log.error("unexpected_error", type=type(error).__name__)

    async def _compare(self, asked: _Asked) -> ViewComparison:
        if not asked.guarded:
            return await self._views.both(asked.adapter, asked.request)
        plain = await self._views.plain(asked.adapter, asked.request)
        return self._views.compare(asked.adapter, asked.guarded, plain)

    def _is_chosen(self, adapter: LoadedAdapter, request: GuardRequest) -> bool:
        return not (adapter.unguarded or request.is_probe) and self._draw() < self._settings.share

    def _enforces(self, adapter: LoadedAdapter, request: GuardRequest) -> bool:
        return self._settings.mode is AuditMode.ENFORCE and self._is_chosen(adapter, request)

    def _offer(self, adapter: LoadedAdapter, request: GuardRequest, guarded: Answer | None) -> None:
        if self._settings.mode is not AuditMode.OBSERVE or not self._is_chosen(adapter, request):
            return
        if self._queue.full():
            self._metrics.view_dropped.labels(adapter.name).inc()
            return
        # The client's own hold ends with its answer; the version is wanted until it is compared.
        held = ExitStack()
        held.enter_context(self._pipeline.adapters.holding(adapter))
        self._queue.put_nowait(_Asked(adapter, request, guarded, held))

    async def _judged(self, request: GuardRequest, adapter: LoadedAdapter) -> Reply:
        """Answer, and compare at the same time; what the answer says of the guarded view is not asked again."""
        if _answers_with_label(adapter):
            reply, plain = await together(
                self._pipeline.respond(request, adapter), self._views.plain(adapter, request)
            )
            guarded = likeliest_label(reply.answers[0].logprobs)
            found = self._views.compare(
                adapter, guarded or await self._views.guarded(adapter, request), plain
            )
        else:
            reply, found = await together(
                self._pipeline.respond(request, adapter), self._views.both(adapter, request)
            )
        self._count(adapter, found)
        if not found.agree and self._settings.action is AuditAction.REFUSE:
            raise ViewsDisagreeError("two views of the input disagree, and such answers are refused")
        return reply._replace(views=Views.AGREE if found.agree else Views.DISAGREE)

    def _count(self, adapter: LoadedAdapter, found: ViewComparison) -> None:
        self._metrics.view_comparisons.labels(adapter.name).inc()
        self._metrics.view_disagreements.labels(adapter.name).inc(not found.agree)


def _label_in(pieces: Sequence[StreamPiece], adapter: LoadedAdapter) -> Answer | None:
    """Return the first choice's label where the pieces tell it."""
    if not _answers_with_label(adapter):
        return None
    deltas = [piece for piece in pieces if isinstance(piece, Delta) and piece.index == 0]
    return next((label for delta in deltas if (label := likeliest_label(delta.logprobs))), None)


def _answers_with_label(adapter: LoadedAdapter) -> bool:
    return isinstance(adapter.manifest.task, ClassificationTask)
