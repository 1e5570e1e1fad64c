"""A limit on how often each key may ask, as a token bucket: what is over it is told when to come again."""

import math
import time
from collections.abc import Callable

from prometheus_client import Counter
from starlette.types import ASGIApp, Receive, Scope, Send

from guard_server.errors import OverloadedError
from guard_server.middleware.auth import KEY_IN_SCOPE
from guard_server.middleware.error_body import send_error
from guard_server.middleware.probe_keys import is_probe


class TokenBucket:
    """Lets ``burst`` requests pass at once, and ``rate`` a second in the long run.

    Args:
        rate: Requests a second.
        burst: Requests at once, at least 1.
        now: Seconds of a clock that only grows.
    """

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take one request and return 0, or return how many seconds are left until there is one."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._rate
        self._left -= 1
        return 0.0


class RateMiddleware:
    """Answers 429 to a key that asks too often. Each key has a bucket; those who need none share one. Probes are not counted.

    Args:
        app: What comes next.
        rate: Requests a second and key.
        burst: How many of them may come at once.
        limited: Counts the refused ones.
        paths: The paths whose requests count.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        app: ASGIApp,
        rate: float,
        burst: int,
        limited: Counter,
        paths: frozenset[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._rate = rate
        self._burst = burst
        self._limited = limited
        self._paths = paths
        self._clock = clock
        # At most one for each key of the configuration: AuthMiddleware lets no other pass.
        self._buckets: dict[bytes, TokenBucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 429, or pass the request on."""
        if scope["type"] == "http" and scope["path"] in self._paths and not is_probe(scope):
            now = self._clock()
            key = scope.get(KEY_IN_SCOPE, b"")
            bucket = self._buckets.get(key) or self._buckets.setdefault(
                key, TokenBucket(self._rate, self._burst, now)
            )
            if wait := bucket.take(now):
                self._limited.inc()
                message = "this key asks more often than it may; try again when Retry-After has passed"
                await send_error(send, OverloadedError(message, retry_after_s=math.ceil(wait)))
                return
        await self._app(scope, receive, send)
