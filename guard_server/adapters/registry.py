"""Which adapter each public name stands for at this moment, and how many requests each version is answering.

A request picks its adapter once, by :meth:`Registry.hold`, and everything in its answer comes from that one. A switch is one
assignment between two steps of the event loop: whoever picks after it gets the new version.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from guard_server.adapter import LoadedAdapter
from guard_server.errors import EngineUnavailableError


class Registry(Mapping[str, LoadedAdapter]):
    """The adapters that are served, by public name; aliases are names as well.

    Args:
        adapters: Those that are served from the start.
        withheld: Names that answer 503 until their adapter has passed its gate.
    """

    def __init__(self, adapters: Mapping[str, LoadedAdapter], withheld: frozenset[str] = frozenset()) -> None:
        self._live = dict(adapters)
        self._withheld = set(withheld)
        self._in_flight: Counter[str] = Counter()
        self._held: dict[str, LoadedAdapter] = {}
        self._idle: dict[str, asyncio.Event] = {}

    def __getitem__(self, name: str) -> LoadedAdapter:
        return self._live[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._live)

    def __len__(self) -> int:
        return len(self._live)

    @contextmanager
    def hold(self, name: str) -> Iterator[LoadedAdapter]:
        """Pick the adapter of a name for one request, and count the request until the block ends.

        Raises:
            KeyError: There is none.
            EngineUnavailableError: It has not passed its gate yet.
        """
        adapter = self._live[name]
        if name in self._withheld:
            raise EngineUnavailableError(
                "the model is being checked before it is served; try again shortly", "model"
            )
        with self.holding(adapter):
            yield adapter

    @contextmanager
    def holding(self, adapter: LoadedAdapter) -> Iterator[None]:
        """Count a request to this very version until the block ends."""
        target = adapter.target
        self._in_flight[target] += 1
        self._held[target] = adapter
        try:
            yield
        finally:
            self._in_flight[target] -= 1
            if not self._in_flight[target]:
                del self._in_flight[target], self._held[target]
                self._idle.pop(target, asyncio.Event()).set()

    def in_flight(self, target: str) -> int:
        """How many requests this content is answering."""
        return self._in_flight[target]

    def busy(self) -> tuple[LoadedAdapter, ...]:
        """Return every version that is answering requests, one of each content."""
        return tuple(self._held.values())

    def is_withheld(self, name: str) -> bool:
        """Whether a name waits for its gate."""
        return name in self._withheld

    async def idle(self, target: str) -> None:
        """Wait until this content answers no request."""
        while self._in_flight[target]:
            await self._idle.setdefault(target, asyncio.Event()).wait()

    def switch(self, changes: Mapping[str, LoadedAdapter | None]) -> None:
        """Let names stand for other adapters, all at once; None takes a name away."""
        kept = {name: adapter for name, adapter in self._live.items() if name not in changes}
        order = [*self._live, *(name for name in changes if name not in self._live)]
        now = kept | {name: adapter for name, adapter in changes.items() if adapter}
        self._withheld -= changes.keys()
        self._live = {name: now[name] for name in order if name in now}
