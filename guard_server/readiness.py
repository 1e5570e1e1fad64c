"""Whether the guard may be sent traffic: every adapter has answered a real request, and the engine did so lately."""

import asyncio
import math
import time
from collections.abc import Callable

from guard_server.adapter import LoadedAdapter
from guard_server.errors import GuardError, ModelNotFoundError, RefusedAnswerError
from guard_server.metrics import GuardMetrics
from guard_server.pipeline import GuardPipeline
from guard_server.prompt_guard import question
from p2p.prompts import ChatMessage

_EVERY_S = 5.0
_STALE_S = 60.0
_CHECK_TIMEOUT_S = 120.0
_PROMPT = (ChatMessage(role="user", content="ready?"),)


class Readiness:
    """Asks each adapter a short question, at first and whenever no answer came lately.

    Each engine target is judged by itself: traffic to one adapter says nothing of another's engine.

    Args:
        pipeline: What is asked.
        metrics: Where the state is shown.
        engine_is_up: Whether the engine's processes are up.
        restarts: How often they were started again, so that a restarted one is asked before it counts as ready.
        clock: Seconds that only grow.
        engine_of: Gives what serves a content name. Many adapters of one engine are not all asked again and again: its
            answer for any of them says that it is there. By default each has its own.

    Attributes:
        details: More for the health routes to say, by name; never a secret.
    """

    def __init__(
        self,
        pipeline: GuardPipeline,
        metrics: GuardMetrics,
        engine_is_up: Callable[[], bool] = lambda: True,
        restarts: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        engine_of: Callable[[str], object] = lambda target: target,
    ) -> None:
        self.details: dict[str, Callable[[], object]] = {}
        self.has_started = False
        self.is_draining = False
        self._pipeline = pipeline
        self._metrics = metrics
        self._engine_is_up = engine_is_up
        self._restarts = restarts
        self._clock = clock
        self._engine_of = engine_of
        self._checked_restarts = 0
        self._shown_restarts = 0
        self._answered_at: dict[str, float] = {}

    @property
    def is_ready(self) -> bool:
        """Whether traffic is welcome."""
        up = self._engine_is_up() and self._restarts() == self._checked_restarts
        return self.has_started and up and not self.is_draining and not self._older_than(_STALE_S)

    def answered(self, name: str) -> None:
        """Note that the engine has answered a request for this adapter just now."""
        self.heard_of(self._pipeline.adapter(name).target)

    def heard_of(self, target: str) -> None:
        """Note that the engine has answered a request to this content just now, whatever name it has."""
        self._answered_at[target] = self._clock()

    async def warm_up(self, adapter: LoadedAdapter) -> bool:
        """Ask a version that no client can reach yet, and return whether the engine answered."""
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await self._pipeline.respond(question(adapter.name, _PROMPT, 1), adapter)
        except RefusedAnswerError:
            pass
        except (GuardError, TimeoutError):
            return False
        self.heard_of(adapter.target)
        return True

    async def check(self) -> bool:
        """Ask every adapter that is due once, and return whether all answered."""
        # Taken before anybody is asked: an engine that restarts meanwhile is asked again.
        restarts = self._restarts()
        # In turn: at a cold start they would only slow each other down.
        results = [await self._ask(name) for name in self._due()]
        if not all(results):
            return False
        self._checked_restarts = restarts
        self.has_started = True
        return True

    async def watch(self) -> None:
        """Keep the state true until cancelled."""
        while True:
            self._show()
            if self._engine_is_up() and not self.is_draining:
                await self.check()
            self._show()
            await asyncio.sleep(_EVERY_S if self.is_ready else 0.5)

    async def _ask(self, name: str) -> bool:
        """Ask the adapter of a name; one that is taken away meanwhile has nothing to answer."""
        try:
            with self._pipeline.hold(name) as adapter:
                if await self.warm_up(adapter):
                    return True
        except ModelNotFoundError:
            return True
        except GuardError:
            return False
        self._answered_at.pop(adapter.target, None)
        return False

    def _due(self) -> list[str]:
        """Return whom to ask: every adapter after a start, else one of each engine that was not heard of lately."""
        if not self.has_started or self._restarts() != self._checked_restarts:
            return list(self._pipeline.adapters)
        return self._older_than(_STALE_S / 2)

    def _older_than(self, seconds: float) -> list[str]:
        """Return one adapter of each engine that has answered for none of its own for so long: the one asked longest ago."""
        heard: dict[object, list[tuple[float, str]]] = {}
        for name, adapter in self._pipeline.adapters.items():
            at = self._answered_at.get(adapter.target, -math.inf)
            heard.setdefault(self._engine_of(adapter.target), []).append((at, name))
        now = self._clock()
        return [min(group)[1] for group in heard.values() if now - max(group)[0] > seconds]

    def _show(self) -> None:
        restarts = self._restarts()
        self._metrics.engine_restarts.inc(restarts - self._shown_restarts)
        self._shown_restarts = restarts
        self._metrics.engine_up.set(self._engine_is_up())
        self._metrics.ready.set(self.is_ready)
