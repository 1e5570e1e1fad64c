"""A load generator that costs little itself: bytes over kept connections, the same again or others each time, every answer noted."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, cast

NO_CONNECTION = 0
"""There was no connection, or it ended without a byte of an answer."""
BROKEN_OFF = -1
"""An answer began and did not end."""
ERROR_FRAME = -2
"""A stream ended as it should, with an error frame in place of ``[DONE]``."""
NO_ANSWER = -3
"""Nothing had come when the load ended and had waited long enough."""

Judge = Callable[[int, bytes], bool]
"""Whether an answer, or what came of it, is one that a guard may give: its status and its bytes."""


Request = bytes | Callable[[], bytes]
"""One request's bytes, or what gives those of the next one."""


class Answered(NamedTuple):
    """One answer.

    Attributes:
        at: When it ended, in seconds since the load began.
        status: HTTP's, or one of the above.
        waited: Seconds since it was asked for.
    """

    at: float
    status: int
    waited: float


class Measured(NamedTuple):
    """What one run of load gave.

    Attributes:
        answers: Every answer, in the order in which they ended.
        seconds: How long the run took.
    """

    answers: list[Answered]
    seconds: float

    @property
    def statuses(self) -> dict[int, int]:
        """How many answers there were of each status."""
        found: dict[int, int] = {}
        for answer in self.answers:
            found[answer.status] = found.get(answer.status, 0) + 1
        return found

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.statuses.get(200, 0) / self.seconds

    def quantiles_ms(self, *shares: float) -> list[float]:
        """Return the latencies in milliseconds that these shares of the good answers did not exceed; NaN without any."""
        waits = sorted(answer.waited for answer in self.answers if answer.status == 200)
        if not waits:
            return [float("nan")] * len(shares)
        return [1000 * waits[min(len(waits) - 1, int(share * len(waits)))] for share in shares]


class Load:
    """Connections that each ask again as soon as they have an answer, and connect again when they are cut.

    Args:
        port: Where, on loopback.
        request: What is asked.
        judge: Looks at every answer, those that broke off among them; without one, nothing is looked at.
        pause_s: Seconds that a connection waits after anything but a good answer.

    Attributes:
        answers: What came so far.
        asked: Requests that were sent, or for which there was no connection.
        wrong: Answers that the judge did not let pass.
    """

    def __init__(
        self, port: int, request: Request, judge: Judge | None = None, pause_s: float = 0.05
    ) -> None:
        self.request = request
        self.pause_s = pause_s
        self.answers: list[Answered] = []
        self.asked = 0
        self.wrong = 0
        self._over = asyncio.Event()
        self._port = port
        self._judge = judge
        self._started = time.perf_counter()
        self._open: set[_Client] = set()
        self._connections = 0
        self._done = asyncio.Event()
        self._connecting: set[asyncio.Future[None]] = set()

    async def run(self, connections: int, patience_s: float = 90, seconds: float | None = None) -> None:
        """Ask until :meth:`stop` is called and the requests that are on their way then have their answers.

        Args:
            connections: How many requests are on their way at once.
            patience_s: Seconds to wait for the last answers; what has none then is noted as such.
            seconds: When it is to stop by itself, from when all have asked once.
        """
        self._connections, self._started = connections, time.perf_counter()
        for _ in range(connections):
            await self._connect()
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self.stop)
        await self._over.wait()
        try:
            async with asyncio.timeout(patience_s):
                await self._done.wait()
        except TimeoutError:
            for client in list(self._open):
                client.give_up()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is asked."""
        return self._over.is_set()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()

    def answered(self, status: int, waited: float, answer: bytes = b"") -> None:
        """Note an answer."""
        self.answers.append(Answered(time.perf_counter() - self._started, status, waited))
        if self._judge and not self._judge(status, answer):
            self.wrong += 1

    def opened(self, client: "_Client") -> None:
        """Note a connection."""
        self._open.add(client)

    def closed(self, client: "_Client | None") -> None:
        """Note a connection's end; another one takes its place."""
        if client:
            self._open.discard(client)
        if self.is_over:
            self._connections -= 1
            if not self._connections:
                self._done.set()
        else:
            # The server went: try again in a moment, as clients do.
            asyncio.get_running_loop().call_later(self.pause_s, self._connect_again)

    async def _connect(self) -> None:
        began = time.perf_counter()
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Client(self), "127.0.0.1", self._port)
        except OSError:
            self.asked += 1
            self.answered(NO_CONNECTION, time.perf_counter() - began)
            self.closed(None)

    def _connect_again(self) -> None:
        task = asyncio.ensure_future(self._connect())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, run: Load) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._held = bytearray()
        self._sent_at = 0.0
        self._is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses.
        self._transport = cast("asyncio.Transport", transport)
        self._run.opened(self)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._is_waiting:
            self._ended(BROKEN_OFF if self._held else NO_CONNECTION)
        self._transport = None
        self._run.closed(self)

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._held[:end]).lower()
        if not self._is_whole(head, end + 4):
            return
        status = self._status(head)
        self._ended(status)
        if self._run.is_over or b"\r\nconnection: close" in head:
            self._close()
        elif status == 200:
            self._ask()
        else:
            asyncio.get_running_loop().call_later(self._run.pause_s, self._ask)

    def give_up(self) -> None:
        """Note that no answer came, and close."""
        if self._is_waiting:
            self._ended(NO_ANSWER)
        self._close()

    def _is_whole(self, head: bytes, start: int) -> bool:
        _, found, rest = head.partition(b"\r\ncontent-length:")
        if found:
            return len(self._held) - start >= int(rest.split(b"\r\n", 1)[0])
        return self._held.endswith(b"0\r\n\r\n")

    def _status(self, head: bytes) -> int:
        status = int(head[9:12])
        if status != 200 or b"event-stream" not in head or b"data: [DONE]" in self._held:
            return status
        return ERROR_FRAME if b'data: {"error"' in self._held else BROKEN_OFF

    def _ended(self, status: int) -> None:
        self._is_waiting = False
        self._run.answered(status, time.perf_counter() - self._sent_at, bytes(self._held))
        self._held.clear()

    def _ask(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._run.is_over:
            self._close()
            return
        self._run.asked += 1
        self._sent_at, self._is_waiting = time.perf_counter(), True
        request = self._run.request
        self._transport.write(request if isinstance(request, bytes) else request())

    def _close(self) -> None:
        if self._transport:
            self._transport.close()


async def load(port: int, request: Request, *, connections: int, seconds: float) -> Measured:
    """Ask again and again.

    Args:
        port: Where, on loopback.
        request: What is asked.
        connections: How many requests are on their way at once.
        seconds: For how long; the requests on their way then are waited for. With 0 each connection asks once at least.
    """
    started, run = time.perf_counter(), Load(port, request)
    await run.run(connections, seconds=seconds)
    return Measured(run.answers, time.perf_counter() - started)
