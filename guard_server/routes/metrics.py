"""``/metrics`` in Prometheus' text format."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from guard_server.exposition import Exposition


def metrics_router(exposition: Exposition) -> APIRouter:
    """Return the metrics route."""
    router = APIRouter()

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(await exposition.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    return router
