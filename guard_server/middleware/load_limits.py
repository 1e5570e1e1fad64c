"""The limits of load, in their order: first how often a key asks, then how many requests run at once."""

from starlette.applications import Starlette

from guard_server.metrics import GuardMetrics
from guard_server.middleware.in_flight import InFlightMiddleware
from guard_server.middleware.rate import RateMiddleware
from guard_server.settings import Limits


def add_load_limits(app: Starlette, limits: Limits, metrics: GuardMetrics, paths: frozenset[str]) -> None:
    """Put the limits in front of an application; they know keys, so that authentication must be added after them.

    Args:
        app: The application.
        limits: The limits.
        metrics: Shows the requests in flight and counts the refused ones.
        paths: The paths whose requests count.
    """
    app.add_middleware(
        InFlightMiddleware,
        limit=limits.in_flight,
        gauge=metrics.in_flight,
        limited=metrics.rate_limited.labels("in_flight"),
        paths=paths,
    )
    app.add_middleware(
        InFlightMiddleware,
        limit=limits.probes_in_flight,
        gauge=metrics.probes_in_flight,
        limited=metrics.rate_limited.labels("probes_in_flight"),
        paths=paths,
        of_probes=True,
    )
    if limits.rate_per_key is not None:
        app.add_middleware(
            RateMiddleware,
            rate=limits.rate_per_key,
            burst=limits.burst,
            limited=metrics.rate_limited.labels("rate"),
            paths=paths,
        )
