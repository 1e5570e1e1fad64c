"""The guard's HTTP servers, which end by themselves when the engine can't be started."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Iterator, Mapping

import uvicorn
from starlette.types import ASGIApp

from guard_server.errors import GuardConfigError
from guard_server.listener import listener
from guard_server.settings import GuardConfig

_BACKLOG = 2048
_SIDE_GRACE_S = 5
_COLLECT_AFTER = 10_000
"""New objects, as CPython counts them, after which the youngest are looked at; its own 700 come with every second request."""


class _SideServer(uvicorn.Server):
    """A server that leaves signals to the main one."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class GuardServer:
    """Serves until a signal, or until :meth:`fail` is called.

    Args:
        config: Where it listens, and how long running requests may take to end.

    Attributes:
        has_failed: Whether it ended for want of an engine.
    """

    def __init__(self, config: GuardConfig) -> None:
        self.has_failed = False
        self._config = config
        self._server: uvicorn.Server | None = None

    def fail(self) -> None:
        """End: without an engine the guard would stay unready for ever, and whoever started it must see that."""
        self.has_failed = True
        if self._server:
            self._server.should_exit = True

    def run(self, app: ASGIApp, beside: Mapping[str, ASGIApp] | None = None) -> None:
        """Serve the application; returns when its server has ended.

        Args:
            app: The guard.
            beside: More applications by the host and port that they listen on. They answer until the guard's last request has
                ended, so that health can be asked while it drains.

        Raises:
            GuardConfigError: A listener's address can't be had.
        """
        side = [(_listening(listen), one) for listen, one in (beside or {}).items()]
        main = _listening(self._config.listen)
        self._server = uvicorn.Server(listener(app, *_place(main), self._config.grace_s))
        with contextlib.ExitStack() as opened:
            for one in (main, *(found for found, _ in side)):
                opened.enter_context(one)
            loop = self._server.config.get_loop_factory()
            with asyncio.Runner(loop_factory=loop) as runner:
                runner.run(self._serve(self._server, main, side))

    async def _serve(
        self, server: uvicorn.Server, main: socket.socket, side: list[tuple[socket.socket, ASGIApp]]
    ) -> None:
        servers = [
            (_SideServer(listener(app, *_place(found), _SIDE_GRACE_S, lifespan="off")), found)
            for found, app in side
        ]
        running = [asyncio.create_task(one.serve([found])) for one, found in servers]
        _keep_for_good()
        try:
            await server.serve([main])
        finally:
            for one, _ in servers:
                one.should_exit = True
            await asyncio.gather(*running)


def _keep_for_good() -> None:
    """Let the collector leave alone what was made until now, modules and models: to look at all of it again stops every request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _place(found: socket.socket) -> tuple[str, int]:
    host, port = found.getsockname()[:2]
    return host, port


def _listening(listen: str) -> socket.socket:
    host, port = listen.rsplit(":", 1)
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        found = socket.create_server((host, int(port)), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise GuardConfigError(f"can't listen on {listen}: {error}") from error
    # A child process must not keep the port.
    found.set_inheritable(False)
    return found
