"""The ASGI application: the guard's own routes, by name; every other path is 404."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from guard_server.adapter import LoadedAdapter
from guard_server.adapters.assembly import gated_names, make_lifecycle
from guard_server.adapters.lifecycle import Lifecycle
from guard_server.adapters.registry import Registry
from guard_server.adapters.residency import AlwaysLoaded
from guard_server.audit import AuditedPipeline
from guard_server.engine.base import Engine
from guard_server.engine.fleet import Fleet
from guard_server.engine.pool import Member
from guard_server.errors import BadRequestError, GuardConfigError, GuardError, NotFoundError
from guard_server.exposition import Exposition
from guard_server.metrics import GuardMetrics
from guard_server.middleware.auth import HEALTH_PATHS, AuthMiddleware
from guard_server.middleware.body_limit import BodyLimitMiddleware
from guard_server.middleware.direct import DirectMiddleware
from guard_server.middleware.load_limits import add_load_limits
from guard_server.middleware.probe_keys import ProbeKeyMiddleware
from guard_server.middleware.request_id import RequestIdMiddleware
from guard_server.middleware.unexpected import UnexpectedErrorMiddleware
from guard_server.pipeline import GuardPipeline
from guard_server.probes.history import History
from guard_server.probes.inner import inner_probers
from guard_server.probes.metrics import ProbeMetrics
from guard_server.probes.prober import Prober, probe_forever
from guard_server.probes.result import ProbeResult
from guard_server.readiness import Readiness
from guard_server.routes.check import CHECK_PATH, CheckRoute
from guard_server.routes.generate import CHAT_PATH, COMPLETIONS_PATH, GenerateRoutes
from guard_server.routes.health import health_router
from guard_server.routes.metrics import metrics_router
from guard_server.routes.models import models_router
from guard_server.settings import GuardConfig, ProbesSettings
from guard_server.status.guard_status import GuardParts, GuardStatus
from guard_server.status.probe_log import ProbeLog
from guard_server.views import TwoViews

_log = structlog.get_logger()
_ANSWERING = frozenset({CHAT_PATH, COMPLETIONS_PATH, CHECK_PATH})
"""The paths that cost the engine work, and so count against the limits of load."""


def create_app(  # noqa: PLR0913 - what is built outside comes in by name
    config: GuardConfig,
    adapters: Mapping[str, LoadedAdapter],
    key_digests: tuple[bytes, ...],
    *,
    probe_digests: tuple[bytes, ...] = (),
    fleet: Fleet | None = None,
    engine: Engine | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Build the guard.

    Args:
        config: The whole configuration.
        adapters: Verified adapters by public name.
        key_digests: SHA-256 of the API keys.
        probe_digests: SHA-256 of the probers' keys.
        fleet: The engines; the application starts and stops them.
        engine: An engine in place of a fleet's, for tests.
        on_failure: Called when the engines can't be started; the reason is in the log.

    Raises:
        ValueError: Neither a fleet nor an engine is given.
        GuardConfigError: An adapter is to be probed that is not served, or with a canary file that can't be used.
    """
    chosen = engine or (fleet.engine if fleet else None)
    if chosen is None:
        raise ValueError("create_app needs a fleet or an engine")
    counted = CollectorRegistry()
    metrics = GuardMetrics(counted, Exposition(counted, fleet.metrics) if fleet else None)
    metrics.in_flight_limit.set(config.limits.in_flight)
    if fleet:
        _show_engines(metrics, fleet)
    registry = Registry(adapters, gated_names(config))
    pipeline = GuardPipeline(registry, chosen, config.limits.default_max_tokens)
    views = TwoViews(chosen, config.audit)
    audited = AuditedPipeline(pipeline, views, config.audit, metrics)
    readiness = Readiness(
        pipeline,
        metrics,
        (lambda: fleet.is_up) if fleet else (lambda: True),
        (lambda: fleet.restarts) if fleet else (lambda: 0),
        engine_of=fleet.engine_of if fleet else (lambda target: target),
    )
    lifecycle = make_lifecycle(config, pipeline, fleet or AlwaysLoaded(), readiness, metrics)
    beside: list[Callable[[], Awaitable[None]]] = [lifecycle.start, readiness.watch]
    probe_log = _probe_log(config.probes)
    probers = inner_probers(
        config.probes,
        pipeline,
        ProbeMetrics(metrics.registry),
        partial(_judge, lifecycle, registry, probe_log),
    )
    status = GuardStatus(
        GuardParts(config, lifecycle, registry, readiness, metrics, probers, probe_log, fleet)
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # The engine starts while the listener is open, so that the health routes can say so.
        starting = asyncio.create_task(_start(fleet, beside, on_failure))
        starting.add_done_callback(partial(_end_with, on_failure=on_failure))
        auditing = asyncio.create_task(audited.work())
        probing = asyncio.create_task(_probe(probers, readiness))
        try:
            yield
        finally:
            readiness.is_draining = True
            starting.cancel()
            auditing.cancel()
            probing.cancel()
            await asyncio.gather(starting, auditing, probing, return_exceptions=True)
            await lifecycle.stop()
            if fleet:
                await fleet.stop()

    app = FastAPI(title="p2p-guard", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    # A path with a slash at its end is another path, not a redirection.
    app.router.redirect_slashes = False
    app.state.readiness, app.state.metrics, app.state.lifecycle = readiness, metrics, lifecycle
    app.state.status = status
    # What runs beside the requests once the engine is up; more may be added before the start.
    app.state.beside = beside
    generating = GenerateRoutes(audited, metrics, readiness, config.limits)
    app.include_router(generating.router)
    # Added first, so that it is met last.
    app.add_middleware(DirectMiddleware, endpoints=generating.endpoints)
    app.include_router(CheckRoute(audited, views, metrics, config.limits).router)
    app.include_router(models_router(registry))
    app.include_router(health_router(readiness))
    app.include_router(metrics_router(metrics.exposition))
    add_error_shapes(app)
    _add_middleware(app, config, metrics, key_digests, probe_digests)
    return app


def _add_middleware(
    app: FastAPI,
    config: GuardConfig,
    metrics: GuardMetrics,
    key_digests: tuple[bytes, ...],
    probe_digests: tuple[bytes, ...],
) -> None:
    open_paths = HEALTH_PATHS if config.metrics_auth else HEALTH_PATHS | {"/metrics"}
    # The last one added is the first one met: nobody's body is read before the key, and the places, are found good.
    app.add_middleware(BodyLimitMiddleware, limit=config.limits.body_bytes, upload_s=config.limits.upload_s)
    add_load_limits(app, config.limits, metrics, _ANSWERING)
    probe_paths = frozenset({CHAT_PATH, COMPLETIONS_PATH, "/v1/models"} | HEALTH_PATHS)
    app.add_middleware(ProbeKeyMiddleware, digests=probe_digests, paths=probe_paths)
    # Without users' keys everybody may ask; the probers' must not change that.
    known = (*key_digests, *probe_digests) if key_digests else ()
    app.add_middleware(AuthMiddleware, digests=known, open_paths=frozenset(open_paths))
    app.add_middleware(UnexpectedErrorMiddleware)
    app.add_middleware(RequestIdMiddleware)


def _show_engines(metrics: GuardMetrics, fleet: Fleet) -> None:
    for member in fleet.pool.members if fleet.pool else ():
        metrics.engine_url_up.labels(member.name).set_function(partial(_is_usable, member))
        metrics.engine_exposed.labels(member.name).set_function(partial(_exposures, fleet, member.name))


async def _probe(probers: Sequence[Prober], readiness: Readiness) -> None:
    try:
        await probe_forever(probers, lambda: readiness.is_ready)
    except Exception as error:
        # Users are answered all the same; the probes go stale, which is an alert of its own.
        _log.critical("probing_ended", type=type(error).__name__)
        raise


def _probe_log(settings: ProbesSettings) -> ProbeLog:
    return ProbeLog(History(settings.history, settings.history_days) if settings.history else None)


async def _judge(lifecycle: Lifecycle, registry: Registry, probe_log: ProbeLog, result: ProbeResult) -> None:
    """Tell the life cycle what a probe found of the version that is served; one that was replaced meanwhile is not judged."""
    probe_log.note(result)
    adapter = registry.get(result.adapter)
    if adapter and result.versions == (adapter.version,):
        await lifecycle.live_probe(result.adapter, adapter, result.broken)


def _is_usable(member: Member) -> float:
    return member.is_usable


def _exposures(fleet: Fleet, name: str) -> float:
    return len(fleet.exposures.get(name, ()))


def _end_with(task: asyncio.Task[None], on_failure: Callable[[], None]) -> None:
    """End the guard when what watches its engine has failed: it would stay as it is for ever, ready or not."""
    if not task.cancelled() and (error := task.exception()):
        # First, for a log that can't be written must not keep the guard from ending.
        on_failure()
        _log.critical("watching_failed", type=type(error).__name__)


async def _start(
    fleet: Fleet | None,
    beside: Sequence[Callable[[], Awaitable[None]]],
    on_failure: Callable[[], None],
) -> None:
    try:
        if fleet:
            await fleet.start()
    except (GuardConfigError, OSError) as error:
        on_failure()
        _log.critical("engine_start_failed", reason=str(error))
        return
    await asyncio.gather(*(work() for work in beside))


def add_error_shapes(app: FastAPI) -> None:
    """Let every error of an application have OpenAI's shape."""

    @app.exception_handler(GuardError)
    async def guard_error(_: Request, error: GuardError) -> JSONResponse:
        return JSONResponse(error.body(), error.status, headers=dict(error.headers))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        known: GuardError = (
            NotFoundError(
                "there is no such route; there are /v1/chat/completions, /v1/completions and /v1/models"
            )
            if error.status_code == 404
            else BadRequestError("")
        )
        known.message = "this method is not allowed here" if error.status_code == 405 else known.message
        return JSONResponse(known.body(), error.status_code, headers=error.headers)
