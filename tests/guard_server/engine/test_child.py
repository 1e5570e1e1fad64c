"""The supervision of a child, with a stand-in that answers the health route and nothing else."""

import asyncio
import contextlib
import errno
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import uvloop

from guard_server.engine.child import ServedModel, VllmChild
from guard_server.errors import GuardConfigError
from guard_server.settings import EngineSettings
from tests.other_user import can_connect_as_nobody

HEALTHY = """
import asyncio, subprocess, sys
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\nconnection: close\\r\\n\\r\\n")
    await writer.drain()
    writer.close()
async def main():
    async with await asyncio.start_unix_server(answer, sys.argv[1]) as server:
        await server.serve_forever()
asyncio.run(main())
"""
KEEPING = HEALTHY.replace("\\r\\nconnection: close", "").replace(
    "    writer.close()\n", "    await answer(reader, writer)\n"
)
FAILING = "print('out of memory'); raise SystemExit(3)"
SILENT = "import time; time.sleep(600)"


class StandIn(VllmChild):
    script = HEALTHY

    def _command(self) -> Sequence[str]:
        return [sys.executable, "-c", self.script, str(self.socket)]


def child(script: str = HEALTHY, **settings: float) -> StandIn:
    model = ServedModel(Path("model"), ("support@0123",), {})
    made = StandIn(model, EngineSettings.model_validate(settings), threads=1, on_gpu=False)
    made.script = script
    return made


@asynccontextmanager
async def started(made: StandIn) -> AsyncIterator[StandIn]:
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def test_a_child_is_up_when_it_answers_and_its_directory_is_private():
    async with started(child()) as made:
        await made.wait_until_up()
        assert made.is_up
        assert stat.S_IMODE(made.socket.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
async def test_another_user_cannot_reach_it():
    async with started(child()) as made:
        await made.wait_until_up()
        assert can_connect_as_nobody(made.socket) is False
        # The same socket, with every right given, so that the refusal is the rights' doing.
        made.socket.parent.chmod(0o755)
        made.socket.chmod(0o666)
        assert can_connect_as_nobody(made.socket) is True


async def test_a_child_whose_socket_is_removed_is_started_again():
    """At once, although the connections that were made before go on and its health route with them."""
    async with started(child(KEEPING, hang_s=600)) as made:
        await made.wait_until_up()
        made.socket.unlink()
        async with asyncio.timeout(20):
            while not (made.restarts and made.is_up):  # noqa: ASYNC110 - what an operator sees is polled, too
                await asyncio.sleep(0.05)


async def test_a_child_that_cannot_be_started_again_is_tried_once_more(monkeypatch: pytest.MonkeyPatch):
    async with started(child()) as made:
        await made.wait_until_up()
        spawn, attempts = made._spawn, []

        async def fail_once() -> None:
            attempts.append(1)
            if len(attempts) == 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            await spawn()

        monkeypatch.setattr(made, "_spawn", fail_once)
        os.kill(made.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            while not (made.restarts == 2 and made.is_up):  # noqa: ASYNC110 - what an operator sees is polled, too
                await asyncio.sleep(0.05)


def test_children_start_on_the_servers_own_loop():
    """uvloop's subprocesses take fewer arguments than asyncio's."""

    async def start_and_stop() -> None:
        async with started(child()) as made:
            await made.wait_until_up()

    uvloop.run(start_and_stop())


async def test_a_hung_child_is_started_again():
    async with started(child(hang_s=0.5)) as made:
        await made.wait_until_up()
        first = made.pid
        os.kill(first, signal.SIGSTOP)
        async with asyncio.timeout(20):
            while not (made.restarts and made.is_up):  # noqa: ASYNC110 - what an operator sees is polled, too
                await asyncio.sleep(0.05)
        assert made.pid != first


async def test_stopping_ends_all_that_the_child_started_and_its_directory():
    async with started(child()) as made:
        await made.wait_until_up()
        family = [psutil.Process(made.pid), *psutil.Process(made.pid).children(recursive=True)]
    assert len(family) == 2
    _, left = psutil.wait_procs(family, timeout=5)
    assert left == []
    assert not made.socket.parent.exists()


async def test_a_killed_child_is_started_again():
    async with started(child()) as made:
        await made.wait_until_up()
        first = made.pid
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(15):
            while not (made.restarts and made.is_up):  # noqa: ASYNC110 - what an operator sees is polled, too
                await asyncio.sleep(0.05)
        assert made.pid != first
        assert made.restarts == 1


async def test_a_child_that_ends_at_its_start_is_an_error_with_its_last_words():
    async with started(child(FAILING)) as made:
        with pytest.raises(GuardConfigError, match="out of memory"):
            await made.wait_until_up()


async def test_a_child_that_never_answers_is_an_error_with_the_setting():
    made = child(SILENT)
    made._settings = made._settings.model_copy(update={"startup_timeout_s": 0.3})
    async with started(made):
        with pytest.raises(GuardConfigError, match="engine.startup_timeout_s"):
            await made.wait_until_up()


@pytest.mark.parametrize("on_gpu", [False, True])
def test_adapters_are_named_to_vllm_by_content(on_gpu: bool):
    model = ServedModel(Path("base"), (), {"support@0123": Path("runs/support")}, max_lora_rank=32)
    made = VllmChild(model, EngineSettings(), threads=2, on_gpu=on_gpu)
    command = list(made._command())
    assert command[command.index("--lora-modules") + 1] == "support@0123=runs/support"
    assert command[command.index("--max-lora-rank") + 1] == "32"
    assert command[command.index("--uds") + 1] == str(made.socket)
    assert ("--enforce-eager" in command) is not on_gpu
    assert ("--block-size" in command) is not on_gpu
    assert not {"--host", "--port"} & set(command)
    with contextlib.suppress(FileNotFoundError):
        made._home.cleanup()


def test_extra_arguments_come_last_so_that_they_hold():
    settings = EngineSettings(extra_args=["--block-size", "128"])
    made = VllmChild(ServedModel(Path("base"), (), {}), settings, threads=2, on_gpu=False)
    assert list(made._command())[-2:] == ["--block-size", "128"]
    made._home.cleanup()


async def test_on_a_cpu_without_a_compiler_nothing_is_compiled():
    script = "import os; raise SystemExit(os.environ.get('TORCH_COMPILE_DISABLE'))"
    async with started(child(script)) as made:
        with pytest.raises(GuardConfigError):
            await made.wait_until_up()
        assert made.log_path.read_text().splitlines()[0] == "1"
