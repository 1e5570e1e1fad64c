import socket

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
