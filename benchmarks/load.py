"""A load generator that costs little itself: the same bytes again and again over kept connections, latencies kept."""

import asyncio
import time
from typing import NamedTuple, cast


class Measured(NamedTuple):
    """What one run of load gave.

    Attributes:
        latencies: Seconds of each answered request, sorted.
        seconds: How long the run took.
        statuses: How many answers there were of each status: 0 where there was no connection, or it ended
            without a byte, -1 for an answer that broke off.
        times: When each answer ended, in seconds since the start, and its status.
        unguarded: Good answers that lack the guard's mark; only looked for where ``mark`` was given.
    """

    latencies: list[float]
    seconds: float
    statuses: dict[int, int]
    times: list[tuple[float, int]]
    unguarded: int

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.statuses.get(200, 0) / self.seconds

    def quantile_ms(self, share: float) -> float:
        """Return the latency in milliseconds that ``share`` of the answers did not exceed; NaN without any."""
        if not self.latencies:
            return float("nan")
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._held = b""
        self._sent_at = 0.0
        self._asked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses.
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._asked:
            self._run.answered(-1 if self._held else 0, None)
        self._run.closed()

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, found, body = self._held.partition(b"\r\n\r\n")
        if not found or not _is_whole(head, body):
            return
        status = int(head[9:12])
        ended = status == 200 and (b"event-stream" not in head or b"[DONE]" in body)
        self._run.answered(
            status if ended or status != 200 else -1, time.perf_counter() - self._sent_at, self._held
        )
        self._asked, self._held = False, b""
        if self._run.is_over:
            self._close()
        else:
            self._ask()

    def _ask(self) -> None:
        self._sent_at, self._asked = time.perf_counter(), True
        if self._transport:
            self._transport.write(self._run.request)

    def _close(self) -> None:
        if self._transport:
            self._transport.close()


class _Run:
    """All connections of one run."""

    def __init__(self, port: int, request: bytes, seconds: float, mark: bytes) -> None:
        self.request = request
        self.times: list[tuple[float, int]] = []
        self.unguarded = 0
        self._mark = mark
        self._started = time.perf_counter()
        self.latencies: list[float] = []
        self.statuses: dict[int, int] = {}
        self._port = port
        self._until = time.perf_counter() + seconds
        self._open = 0
        self._done = asyncio.Event()
        self._connecting: set[asyncio.Future[None]] = set()

    @property
    def is_over(self) -> bool:
        return time.perf_counter() >= self._until

    def answered(self, status: int, seconds: float | None, answer: bytes = b"") -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.times.append((time.perf_counter() - self._started, status))
        if status == 200 and seconds is not None:
            self.latencies.append(seconds)
            self.unguarded += self._mark not in answer

    def closed(self) -> None:
        if self.is_over:
            self._open -= 1
            if not self._open:
                self._done.set()
        else:
            # The server went: try again in a moment, as clients do.
            asyncio.get_running_loop().call_later(0.05, self._connect_again)

    async def connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Client(self), "127.0.0.1", self._port)
        except OSError:
            self.answered(0, None)
            self.closed()

    def _connect_again(self) -> None:
        task = asyncio.ensure_future(self.connect())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def all(self, connections: int) -> None:
        self._open = connections
        for _ in range(connections):
            await self.connect()
        await self._done.wait()


async def load(port: int, request: bytes, *, connections: int, seconds: float, mark: bytes = b"") -> Measured:
    """Send a request again and again.

    Args:
        port: Where, on loopback.
        request: The bytes.
        connections: How many requests are on their way at once.
        seconds: For how long; the requests on their way then are waited for.
        mark: What every good answer must hold.
    """
    started = time.perf_counter()
    run = _Run(port, request, seconds, mark)
    await run.all(connections)
    taken = time.perf_counter() - started
    return Measured(sorted(run.latencies), taken, run.statuses, run.times, run.unguarded)


def _is_whole(head: bytes, body: bytes) -> bool:
    lowered = head.lower()
    _, found, rest = lowered.partition(b"\r\ncontent-length:")
    if found:
        return len(body) >= int(rest.split(b"\r\n", 1)[0])
    return body.endswith(b"0\r\n\r\n")
