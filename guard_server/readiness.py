"""Whether the guard may be sent traffic: every adapter has answered a real request, and the engine did so lately."""

import asyncio
import time
from collections.abc import Callable, Iterable

from guard_server.errors import GuardError
from guard_server.metrics import GuardMetrics
from guard_server.pipeline import GuardPipeline
from guard_server.prompt_guard import GuardRequest, Shape
from p2p.prompts import ChatMessage

_EVERY_S = 5.0
_STALE_S = 60.0
_CHECK_TIMEOUT_S = 120.0


class Readiness:
    """Asks each adapter a short question, at first and whenever no answer came lately.

    Args:
        pipeline: What is asked.
        metrics: Where the state is shown.
        engine_is_up: Whether the engine's processes are up.
        restarts: How often they were started again, so that a restarted one is asked before it counts as ready.
    """

    def __init__(
        self,
        pipeline: GuardPipeline,
        metrics: GuardMetrics,
        engine_is_up: Callable[[], bool] = lambda: True,
        restarts: Callable[[], int] = lambda: 0,
    ) -> None:
        self.has_started = False
        self.is_draining = False
        self._pipeline = pipeline
        self._metrics = metrics
        self._engine_is_up = engine_is_up
        self._restarts = restarts
        self._seen_restarts = 0
        self._answered_at: float | None = None

    @property
    def is_ready(self) -> bool:
        """Whether traffic is welcome."""
        fresh = self._answered_at is not None and time.monotonic() - self._answered_at < _STALE_S
        up = self._engine_is_up() and self._restarts() == self._seen_restarts
        return fresh and up and not self.is_draining

    def answered(self) -> None:
        """Note that the engine has answered a request just now."""
        self._answered_at = time.monotonic()

    async def check(self, names: Iterable[str]) -> bool:
        """Ask each of these adapters once and return whether all answered."""
        restarts = self._restarts()
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                for name in names:
                    await self._pipeline.respond(_question(name))
        except (GuardError, TimeoutError):
            self._answered_at = None
            return False
        self._seen_restarts = restarts
        self.has_started = True
        self.answered()
        return True

    async def watch(self) -> None:
        """Keep the state true until cancelled."""
        while True:
            self._metrics.engine_restarts.set(self._restarts())
            stale = self._answered_at is None or time.monotonic() - self._answered_at > _STALE_S / 2
            if self._engine_is_up() and (stale or not self.is_ready) and not self.is_draining:
                await self.check(self._pipeline.adapters)
            self._metrics.ready.set(self.is_ready)
            await asyncio.sleep(_EVERY_S if self.is_ready else 0.5)


def _question(name: str) -> GuardRequest:
    return GuardRequest(
        shape=Shape.CHAT,
        model=name,
        messages=(ChatMessage(role="user", content="ready?"),),
        n=1,
        max_tokens=1,
        temperature=0,
        stop=(),
        sampling={},
        logprobs=False,
        top_logprobs=0,
        stream=False,
        include_usage=False,
    )
