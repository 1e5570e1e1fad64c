"""The applications of the other listeners: the admin API with its own keys, and metrics and health without any."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from guard_server.adapters.lifecycle import Lifecycle
from guard_server.app import add_error_shapes
from guard_server.errors import GuardConfigError
from guard_server.metrics import GuardMetrics
from guard_server.middleware.auth import AuthMiddleware, load_key_digests
from guard_server.middleware.body_limit import BodyLimitMiddleware
from guard_server.middleware.request_id import RequestIdMiddleware
from guard_server.middleware.unexpected import UnexpectedErrorMiddleware
from guard_server.readiness import Readiness
from guard_server.routes.admin import AdminRoutes
from guard_server.routes.health import health_router
from guard_server.routes.metrics import metrics_router
from guard_server.routes.status import STATUS_PATH, StatusRoute
from guard_server.settings import AuthSettings, GuardConfig
from guard_server.status.guard_status import GuardStatus

_BODY_BYTES = 16_384


def side_apps(
    config: GuardConfig,
    lifecycle: Lifecycle,
    metrics: GuardMetrics,
    readiness: Readiness,
    status: GuardStatus | None = None,
) -> dict[str, ASGIApp]:
    """Return the applications that the configuration wants, by where they listen.

    Raises:
        GuardConfigError: There is no admin key, one of them is a client's key as well, or two listeners have one address.
    """
    found: dict[str, ASGIApp] = {}
    if config.admin:
        keys = AuthSettings(keys_file=config.admin.keys_file, keys_env=config.admin.keys_env)
        digests = load_key_digests(keys)
        if set(digests) & set(load_key_digests(config.auth)):
            raise GuardConfigError(
                "an admin key is a client's API key as well: give the admin API keys of its own"
            )
        found[config.admin.listen] = create_admin_app(lifecycle, digests, status)
    if config.metrics:
        if config.metrics.listen in found:
            raise GuardConfigError("admin.listen and metrics.listen are the same")
        found[config.metrics.listen] = create_metrics_app(metrics, readiness)
    return found


def create_admin_app(
    lifecycle: Lifecycle, key_digests: tuple[bytes, ...], status: GuardStatus | None = None
) -> FastAPI:
    """Build the admin API, and the status page beside it.

    Args:
        lifecycle: What it speaks for.
        key_digests: SHA-256 of the admin keys.
        status: What the status page tells; without it there is none.

    Raises:
        ValueError: There is no key: nobody may change what is served without one.
    """
    if not key_digests:
        raise ValueError("the admin API needs a key")
    app = _bare_app()
    app.include_router(AdminRoutes(lifecycle).router)
    if status:
        app.include_router(StatusRoute(status).router)
    app.add_middleware(BodyLimitMiddleware, limit=_BODY_BYTES)
    # A browser can't send a bearer key by itself; on the page that changes nothing it may send the key as a password.
    app.add_middleware(
        AuthMiddleware,
        digests=key_digests,
        open_paths=frozenset(),
        password_paths=frozenset({STATUS_PATH}) if status else frozenset(),
    )
    app.add_middleware(UnexpectedErrorMiddleware)
    app.add_middleware(RequestIdMiddleware)
    return app


def create_metrics_app(metrics: GuardMetrics, readiness: Readiness) -> FastAPI:
    """Build what Prometheus and the kubelet ask, and nothing else."""
    app = _bare_app()
    app.include_router(metrics_router(metrics.exposition))
    app.include_router(health_router(readiness))
    app.add_middleware(BodyLimitMiddleware, limit=_BODY_BYTES)
    app.add_middleware(UnexpectedErrorMiddleware)
    return app


def _bare_app() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.router.redirect_slashes = False
    add_error_shapes(app)
    return app
