import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from guard_server.adapter import load_adapters
from guard_server.app import create_app
from guard_server.engine.fleet import Fleet
from guard_server.errors import GuardConfigError
from guard_server.serving import GuardServer
from guard_server.settings import GuardConfig


class FleetThatDoesNotStart(Fleet):
    async def start(self) -> None:
        raise GuardConfigError("vLLM ended while it started")


class FleetThatFails(Fleet):
    async def start(self) -> None:
        raise ValueError("a fault of ours")


@pytest.mark.parametrize("kind", [FleetThatDoesNotStart, FleetThatFails])
def test_a_guard_whose_engine_does_not_start_ends(config: GuardConfig, kind: type[Fleet]):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    engine = config.engine.model_copy(update={"url": "http://127.0.0.1:9"})
    config = config.model_copy(update={"listen": listen, "engine": engine})
    adapters = load_adapters(config)
    server = GuardServer(config)
    fleet = kind(config, adapters.values())
    server.run(create_app(config, adapters, (), fleet=fleet, on_failure=server.fail))
    assert server.has_failed


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_an_address_that_is_taken_is_an_error_that_names_it(config: GuardConfig):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        server = GuardServer(config.model_copy(update={"listen": listen}))
        with pytest.raises(GuardConfigError, match=f"can't listen on {listen}"):
            server.run(lambda *_: None)


HELD_GUARD = """
import asyncio, sys
from guard_server.serving import GuardServer
from guard_server.settings import GuardConfig

asked, go_on = asyncio.Event(), asyncio.Event()

async def reply(send, text):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})

async def guard(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    asked.set()
    await go_on.wait()
    await reply(send, b"answered")

async def health(scope, receive, send):
    if scope["path"] == "/go-on":
        go_on.set()
    await reply(send, b"asked" if asked.is_set() else b"idle")

main, side = sys.argv[1:]
adapters = [{"name": "a", "path": "p"}]
config = GuardConfig.model_validate({"listen": main, "base_model": "m", "adapters": adapters})
GuardServer(config).run(guard, {side: health})
"""


def get(url: str, seconds: float = 20) -> str:
    try:
        return httpx.get(url, timeout=seconds, trust_env=False).text
    except httpx.TimeoutException:
        return "silent"
    except httpx.TransportError:
        return "refused"


def wait_for(url: str, text: str) -> None:
    deadline = time.monotonic() + 20
    # One that came in just before the signal is held as well: it must not use up the time of the first.
    while get(url, 0.5) != text:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_health_is_answered_while_the_guard_drains():
    main, side = free_address(), free_address()
    found: list[str] = []
    with subprocess.Popen([sys.executable, "-c", HELD_GUARD, main, side]) as process:
        try:
            wait_for(f"http://{side}/", "idle")
            asking = threading.Thread(target=lambda: found.append(get(f"http://{main}/")))
            asking.start()
            wait_for(f"http://{side}/", "asked")
            process.send_signal(signal.SIGTERM)
            # It takes no more ...
            wait_for(f"http://{main}/", "refused")
            # ... and says so for as long as the last request runs.
            assert get(f"http://{side}/") == "asked"
            get(f"http://{side}/go-on")
            asking.join(20)
            assert found == ["answered"]
            process.wait(20)
        finally:
            process.kill()
