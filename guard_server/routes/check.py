"""``/v1/p2p/check``: whether the two views of an input agree, for gateways that only want the verdict."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from guard_server.adapter import LoadedAdapter
from guard_server.audit import AuditedPipeline
from guard_server.errors import GuardError, ModelNotFoundError
from guard_server.metrics import UNKNOWN_ADAPTER, GuardMetrics
from guard_server.prompt_guard import GuardRequest, parse_check
from guard_server.routes.disconnect import ClientGoneError, unless_gone
from guard_server.settings import Limits
from guard_server.views import TwoViews

CHECK_PATH = "/v1/p2p/check"
_ENDPOINT = "check"


class CheckRoute:
    """Answers the question; what it finds is counted as a request and not as part of the audit.

    Args:
        pipeline: Gives the version that is asked.
        views: Asks both views.
        metrics: Counts.
        limits: What a request may take.
    """

    def __init__(
        self, pipeline: AuditedPipeline, views: TwoViews, metrics: GuardMetrics, limits: Limits
    ) -> None:
        self.router = APIRouter()
        self._pipeline = pipeline
        self._views = views
        self._metrics = metrics
        self._limits = limits
        self.router.post(CHECK_PATH)(self.check)

    async def check(self, request: Request) -> JSONResponse:
        """Ask an input in both views."""
        asked = parse_check(await request.body(), self._limits)
        try:
            with self._pipeline.hold(asked.model) as adapter:
                return await self._checked(request, asked, adapter)
        except ClientGoneError:
            self._count(asked.model, "cancelled")
            return JSONResponse(None, 499)
        except ModelNotFoundError:
            self._count(UNKNOWN_ADAPTER, "error")
            raise
        except GuardError:
            self._count(asked.model, "error")
            raise

    async def _checked(self, request: Request, asked: GuardRequest, adapter: LoadedAdapter) -> JSONResponse:
        found = await unless_gone(request.scope, request.receive, self._views.both(adapter, asked))
        self._count(asked.model, "agree" if found.agree else "disagree")
        head = {"object": "p2p_guard.check", "model": adapter.name, "version": adapter.version}
        return JSONResponse({**head, **found._asdict()})

    def _count(self, adapter: str, outcome: str) -> None:
        self._metrics.requests.labels(adapter, _ENDPOINT, outcome).inc()
