"""``/metrics`` in Prometheus' text format."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from guard_server.exposition import Exposition


def metrics_router(registry: CollectorRegistry) -> APIRouter:
    """Return the metrics route."""
    router, exposition = APIRouter(), Exposition(registry)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(await exposition.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    return router
