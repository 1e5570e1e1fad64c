"""The ASGI application: the guard's own routes, by name; every other path is 404."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from guard_server.adapter import LoadedAdapter
from guard_server.engine.base import Engine
from guard_server.engine.fleet import Fleet
from guard_server.errors import BadRequestError, GuardError, NotFoundError
from guard_server.metrics import GuardMetrics
from guard_server.middleware.auth import HEALTH_PATHS, AuthMiddleware
from guard_server.middleware.body_limit import BodyLimitMiddleware
from guard_server.middleware.request_id import RequestIdMiddleware
from guard_server.pipeline import GuardPipeline
from guard_server.readiness import Readiness
from guard_server.routes.generate import GenerateRoutes
from guard_server.routes.health import health_router
from guard_server.routes.metrics import metrics_router
from guard_server.routes.models import models_router
from guard_server.settings import GuardConfig

_log = structlog.get_logger()


def create_app(
    config: GuardConfig,
    adapters: Mapping[str, LoadedAdapter],
    key_digests: tuple[bytes, ...],
    *,
    fleet: Fleet | None = None,
    engine: Engine | None = None,
) -> FastAPI:
    """Build the guard.

    Args:
        config: The whole configuration.
        adapters: Verified adapters by public name.
        key_digests: SHA-256 of the API keys.
        fleet: The engines; the application starts and stops them.
        engine: An engine in place of a fleet's, for tests.

    Raises:
        ValueError: Neither a fleet nor an engine is given.
    """
    chosen = engine or (fleet.engine if fleet else None)
    if chosen is None:
        raise ValueError("create_app needs a fleet or an engine")
    metrics = GuardMetrics(CollectorRegistry())
    pipeline = GuardPipeline(adapters, chosen)
    readiness = Readiness(
        pipeline,
        metrics,
        (lambda: fleet.is_up) if fleet else (lambda: True),
        (lambda: sum(child.restarts for child in fleet.children)) if fleet else (lambda: 0),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # The engine starts while the listener is open, so that the health routes can say so.
        starting = asyncio.create_task(_start(fleet, readiness))
        yield
        readiness.is_draining = True
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        if fleet:
            await fleet.stop()

    app = FastAPI(title="p2p-guard", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.readiness = readiness
    app.include_router(GenerateRoutes(pipeline, metrics, readiness, config.limits).router)
    app.include_router(models_router(adapters))
    app.include_router(health_router(readiness))
    app.include_router(metrics_router(metrics.registry))
    _add_error_shapes(app)
    open_paths = HEALTH_PATHS if config.metrics_auth else HEALTH_PATHS | {"/metrics"}
    app.add_middleware(BodyLimitMiddleware, limit=config.limits.body_bytes)
    app.add_middleware(AuthMiddleware, digests=key_digests, open_paths=frozenset(open_paths))
    app.add_middleware(RequestIdMiddleware)
    return app


async def _start(fleet: Fleet | None, readiness: Readiness) -> None:
    try:
        if fleet:
            await fleet.start()
        await readiness.watch()
    except Exception as error:
        # The listener stays open and says 503: an orchestrator restarts it, a person reads this line.
        _log.critical("engine_start_failed", reason=str(error))
        raise


def _add_error_shapes(app: FastAPI) -> None:
    @app.exception_handler(GuardError)
    async def guard_error(_: Request, error: GuardError) -> JSONResponse:
        return JSONResponse(error.body(), error.status, headers=dict(error.headers))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        known: GuardError = (
            NotFoundError("there is no such route") if error.status_code == 404 else BadRequestError("")
        )
        known.message = "this method is not allowed here" if error.status_code == 405 else known.message
        return JSONResponse(known.body(), error.status_code)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        # The type alone: a message may quote the prompt.
        _log.error("unexpected_error", type=type(error).__name__)
        return JSONResponse(GuardError("the guard failed; the request was not answered").body(), 500)
