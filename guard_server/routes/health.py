"""Health for an orchestrator: alive, started, ready."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from guard_server.readiness import Readiness


def health_router(readiness: Readiness) -> APIRouter:
    """Return the health routes, which need no key."""
    router = APIRouter()

    @router.get("/livez")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @router.get("/startupz")
    async def started() -> JSONResponse:
        return _state(ok=readiness.has_started)

    @router.get("/readyz")
    async def ready() -> JSONResponse:
        return _state(ok=readiness.is_ready, **{name: say() for name, say in readiness.details.items()})

    return router


def _state(*, ok: bool, **details: object) -> JSONResponse:
    return JSONResponse({"status": "ok" if ok else "not ready", **details}, 200 if ok else 503)
