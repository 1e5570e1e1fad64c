"""The guard that the demo asks: started with both adapters, stopped however the demo ends."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import yaml
from rich.console import Console

from p2p_guard_cli.demo.errors import DemoError

KEY_ENV = "P2P_GUARD_DEMO_KEY"
MODELS = {"undefended": "support-undefended", "guarded": "support", "unguarded": "support-unguarded"}
"""Public model names by the column of the table that they fill."""
_READY_SECONDS = 600


class DemoGuard(NamedTuple):
    """A guard that is ready: its API's URL and the key that opens it."""

    url: str
    key: str


@contextmanager
def demo_guard(console: Console, base_model: Path, output: Path) -> Iterator[DemoGuard]:
    """Serve both adapters until the block ends, however it ends.

    Args:
        console: Where it says what it does.
        base_model: The base model's directory.
        output: Holds the adapters ``support`` and ``support-undefended``; configuration and log go there.

    Raises:
        DemoError: The guard did not get ready; its log says why.
    """
    key, port = f"demo-{secrets.token_urlsafe(16)}", _free_port()
    config = {
        "listen": f"127.0.0.1:{port}",
        "base_model": str(base_model),
        "adapters": [
            {"name": MODELS["guarded"], "path": str(output / "support")},
            {"name": MODELS["unguarded"], "path": str(output / "support"), "unguarded": True},
            {"name": MODELS["undefended"], "path": str(output / "support-undefended"), "unguarded": True},
        ],
        "auth": {"keys_env": KEY_ENV},
    }
    path = output / "guard.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    console.print("[4/4] starting the guard and its vLLM (one to three minutes)")
    command = [sys.executable, "-m", "p2p_guard_cli", "serve", str(path), "--unsafe-allow-unguarded"]
    with (output / "guard.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=os.environ | {KEY_ENV: key},
            start_new_session=True,
        )
    try:
        _wait_until_ready(server, f"http://127.0.0.1:{port}", output / "guard.log")
        yield DemoGuard(f"http://127.0.0.1:{port}/v1", key)
    finally:
        _stop(server)


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise DemoError(f"the guard stopped (exit {server.returncode}); see {log}")
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise DemoError(f"the guard was not ready after {_READY_SECONDS} s; see {log}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
