"""Several engines that serve the same: the least busy one is asked, and one that fails is left out until it answers again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import orjson
import structlog

from guard_server.engine.channel import UNREACHABLE, Channel, EngineReply, EngineStream, NotSentError
from guard_server.errors import EngineUnavailableError

_log = structlog.get_logger()
_EVERY_S = 2.0
_SOON_S = 0.5
"""How soon an engine that may not be asked is looked at again."""
_PATIENCE_S = 5.0
_NO_SUCH_MODEL = 404


class Member:
    """One engine of a pool.

    Args:
        name: What logs and metrics call it.
        channel: The connections to it.

    Attributes:
        is_up: Whether its health route answered last time.
        is_right: Whether it serves every model that is wanted.
        is_hung: Whether it takes connections and has said nothing for long: nothing is sent to it.
        running: Requests that it answers now.
        asked: Requests that it was ever sent.
    """

    def __init__(self, name: str, channel: Channel) -> None:
        self.name = name
        self.channel = channel
        self.is_up = True
        self.is_right = True
        self.running = 0
        self.asked = 0
        self.is_hung = False
        self._heard_at: float | None = None

    @property
    def is_usable(self) -> bool:
        """Whether requests may go to it."""
        return self.is_up and self.is_right

    async def check(self, wanted: AbstractSet[str], hang_s: float) -> None:
        """Ask for its health and its models; cut the requests of one that has said nothing for ``hang_s`` seconds."""
        clock = asyncio.get_running_loop().time
        try:
            health = await self.channel.get("/health", timeout_s=min(_PATIENCE_S, hang_s))
            listed = await self.channel.get("/v1/models", timeout_s=min(_PATIENCE_S, hang_s))
        except NotSentError:
            # It is gone, or not there yet: to try is quick.
            self.is_hung = False
            self._note(up=False, right=self.is_right)
        except EngineUnavailableError:
            self._note(up=False, right=self.is_right)
            if self._heard_at is not None and clock() - self._heard_at >= hang_s and not self.is_hung:
                await self._cut()
        else:
            self._heard_at, self.is_hung = clock(), False
            # A router in front of several engines need not have the route.
            self._note(up=health.status < 500 and listed.status == 200, right=wanted <= _names(listed))

    async def _cut(self) -> None:
        _log.error("engine_hung", engine=self.name, cut_requests=self.running)
        self.is_hung = True
        await self.channel.cut()

    def _note(self, *, up: bool, right: bool) -> None:
        if (up, right) != (self.is_up, self.is_right):
            _log.warning("engine_changed", engine=self.name, up=up, serves_the_adapters=right)
        self.is_up, self.is_right = up, right

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request while it runs."""
        self.running += 1
        self.asked += 1
        try:
            yield
        finally:
            self.running -= 1


class EnginePool:
    """Asks the least busy of several engines.

    A request goes to another engine only where no connection could be made, or the engine knows no such model: one that may have
    reached an engine is not sent twice, so that a request which brings an engine down does not bring down the next one.

    Args:
        members: The engines.
        wanted: Gives the content names that each must serve.
        hang_s: Seconds of silence after which an engine is taken for hung.
    """

    def __init__(
        self, members: Sequence[Member], wanted: Callable[[], AbstractSet[str]], hang_s: float = 30
    ) -> None:
        self.members = tuple(members)
        self._wanted = wanted
        self._hang_s = hang_s

    @property
    def is_up(self) -> bool:
        """Whether at least one engine may be asked."""
        return any(member.is_usable for member in self.members)

    async def watch(self) -> None:
        """Check every engine again and again, until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(_EVERY_S if all(member.is_usable for member in self.members) else _SOON_S)

    async def check(self) -> None:
        """Check every engine once."""
        # Taken before the engines say what they serve: a name that is wanted meanwhile is not held against them.
        wanted = self._wanted()
        await asyncio.gather(*(member.check(wanted, self._hang_s) for member in self.members))

    async def post(self, path: str, content: bytes) -> EngineReply:
        """Return the whole answer of one engine.

        Raises:
            EngineUnavailableError: No engine can be reached, or the one that was asked failed.
        """
        for member in self._in_turn():
            with member.counted():
                try:
                    reply = await member.channel.post(path, content)
                except NotSentError:
                    member.is_up = False
                    continue
            if reply.status != _NO_SUCH_MODEL:
                return reply
            member.is_right = False
        raise EngineUnavailableError(UNREACHABLE)

    @asynccontextmanager
    async def stream(self, path: str, content: bytes) -> AsyncIterator[EngineStream]:
        """Return the answer of one engine as it comes; see :meth:`post` for what it raises."""
        for member in self._in_turn():
            async with AsyncExitStack() as leaving:
                leaving.enter_context(member.counted())
                try:
                    found = await leaving.enter_async_context(member.channel.stream(path, content))
                except NotSentError:
                    member.is_up = False
                    continue
                if found.status != _NO_SUCH_MODEL:
                    yield found
                    return
                member.is_right = False
        raise EngineUnavailableError(UNREACHABLE)

    def _in_turn(self) -> Iterator[Member]:
        """Yield every engine that is not hung once: the least busy of those that are left, the usable ones first."""
        left = [member for member in self.members if not member.is_hung]
        while left:
            chosen = min(left, key=lambda member: (not member.is_usable, member.running, member.asked))
            left.remove(chosen)
            yield chosen


def _names(listed: EngineReply) -> set[str]:
    try:
        return {model["id"] for model in orjson.loads(listed.content)["data"]}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return set()
