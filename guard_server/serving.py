"""The guard's HTTP server, which ends by itself when its engine can't be started."""

import uvicorn
from starlette.types import ASGIApp

from guard_server.listener import listener
from guard_server.settings import GuardConfig


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

    def run(self, app: ASGIApp) -> None:
        """Serve the application; returns when the server has ended."""
        host, port = self._config.listen.rsplit(":", 1)
        self._server = uvicorn.Server(listener(app, host, int(port), self._config.grace_s))
        self._server.run()
