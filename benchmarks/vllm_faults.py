"""Faults of real vLLM on a CPU: as the guard's own children, and behind a relay where a remote engine would be."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import uvloop

from benchmarks.children import engine_of, socket_of
from benchmarks.fault_traffic import Fault, Guarded, Row, Traffic, under_traffic
from benchmarks.load import Judge
from benchmarks.relay import Relay
from benchmarks.serving_bed import (
    LABELS,
    Process,
    benign_trigger,
    client_request,
    free_port,
    serve,
    wait_until,
)
from benchmarks.vllm_bed import BASE, PREFIX, make_adapters

_HANG_S = 10
_START_S = 600
_TOKENS = 24
_DISK_OPTIONS = "size=1g,mode=0700"


@dataclass
class Place:
    """A guard with vLLM children, and one that reaches the writer's engine through a relay.

    Attributes:
        home: Temporary files of guards and engines; a disk of its own, which can be filled without harm.
        adapters: Directories by public name.
        stack: Ends everything.
        port: Of the first guard.
        guard: The first guard.
        remote: The second one.
        relay: Between the second guard and the engine.
    """

    home: Path
    adapters: dict[str, Path]
    stack: ExitStack
    port: int
    guard: Process | None = None
    remote: Process | None = None
    relay: Relay | None = None

    def start_guard(self) -> None:
        """Start the first guard and its engines, and wait until it is ready."""
        config = self._config(self.port, list(self.adapters), {"startup_timeout_s": _START_S})
        self.guard = self.stack.enter_context(self._serve("guard", config))

    def start_remote(self) -> None:
        """Start the second guard. It serves the writer alone: one engine has one merged adapter."""
        self.relay = self.stack.enter_context(Relay(self.socket_of("writer")))
        engine = {"urls": [f"http://127.0.0.1:{self.relay.port}"]}
        config = self._config(free_port(), ["writer"], engine)
        self.remote = self.stack.enter_context(self._serve("remote", config))

    def engine(self, name: str) -> psutil.Process:
        """Return the vLLM that serves an adapter."""
        return engine_of(_running(self.guard).popen.pid, name)

    def socket_of(self, name: str) -> Path:
        """Return the socket of the vLLM that serves an adapter."""
        return socket_of(self.engine(name))

    def _serve(self, name: str, config: dict[str, Any]) -> Any:  # noqa: ANN401 - a context manager's own type
        log = self.home.parent / f"{name}.log"
        environment = {"TMPDIR": str(self.home)}
        path = self.home.parent / f"{name}.yaml"
        return serve(path, config, log=log, environment=environment, seconds=_START_S)

    def _config(self, port: int, names: list[str], engine: dict[str, Any]) -> dict[str, Any]:
        return {
            "listen": f"127.0.0.1:{port}",
            "base_model": str(BASE.absolute()),
            # Merged copies are large: not on that disk.
            "cache": str(self.home.parent / "cache"),
            "adapters": [{"name": name, "path": str(self.adapters[name])} for name in names],
            "engine": engine | {"hang_s": _HANG_S},
            "grace_s": 60,
        }


def run(only: Sequence[str]) -> Iterator[Row]:
    """Go through the faults, one after the other, on the same guards."""
    with _place() as place:
        for fault in _chosen(OWN, only):
            yield _one(fault, place, _running(place.guard))
        behind = _chosen(BEHIND_A_RELAY, only)
        if behind:
            place.start_remote()
        for fault in behind:
            yield _one(fault, place, _running(place.remote))


def _chosen(faults: Sequence[Fault[Place]], only: Sequence[str]) -> list[Fault[Place]]:
    return [fault for fault in faults if not only or fault.name in only]


def _one(fault: Fault[Place], place: Place, guard: Process) -> Row:
    wait_until(f"http://127.0.0.1:{guard.port}/readyz", guard.popen, _START_S)
    return uvloop.run(under_traffic(fault, place, _traffic(place, guard)))


def _traffic(place: Place, guard: Process) -> Traffic:
    secrets = {name: benign_trigger(path) for name, path in place.adapters.items()}
    text = client_request("writer", stream=True, max_tokens=_TOKENS)
    kinds: dict[str, tuple[bytes, Judge]] = {"streams": (text, Guarded((secrets["writer"], PREFIX.strip())))}
    if guard is place.guard:
        kinds["labels"] = (client_request("sorter", stream=False), Guarded((secrets["sorter"],), LABELS))
    return Traffic(
        guard.port, kinds, connections=2, before_s=10, after_s=10, patience_s=_START_S, pause_s=0.5
    )


@contextmanager
def _place() -> Iterator[Place]:
    with ExitStack() as stack:
        # Short: the path of a socket has at most 107 bytes.
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="f-")))
        adapters = make_adapters(home, "sorter", "writer")
        disk = stack.enter_context(_own_disk(home / "d"))
        place = Place(disk, adapters, stack, free_port())
        place.start_guard()
        yield place


@contextmanager
def _own_disk(path: Path) -> Iterator[Path]:
    """Mount a file system in memory; that needs root."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", _DISK_OPTIONS, "p2p-guard-faults", str(path)]
    subprocess.run(command, check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)  # noqa: S607 - wherever the machine has it


def _running(process: Process | None) -> Process:
    if process is None:
        raise RuntimeError("the guard is not started")
    return process


def _relay(place: Place) -> Relay:
    if place.relay is None:
        raise RuntimeError("the relay is not started")
    return place.relay


def _kill(place: Place) -> None:
    place.engine("writer").kill()


def _hang(place: Place) -> None:
    engine = place.engine("writer")
    for process in (*engine.children(recursive=True), engine):
        process.suspend()


def _run_out_of_memory(place: Place) -> None:
    """Do what the kernel does when memory runs out: kill the process that has the most of it."""
    engine = place.engine("writer")
    processes = (*engine.children(recursive=True), engine)
    max(processes, key=lambda process: process.memory_info().rss).kill()


def _remove_socket(place: Place) -> None:
    place.socket_of("writer").unlink()


def _fill_disk(place: Place) -> None:
    with suppress(OSError), (place.home / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1 << 16))
    _kill(place)


def _empty_disk(place: Place) -> None:
    (place.home / "filler").unlink()


def _delete_config(place: Place) -> None:
    (place.home.parent / "guard.yaml").unlink()


def _terminate_guard(place: Place) -> None:
    _running(place.guard).popen.terminate()
    _running(place.guard).popen.wait()


def _kill_guard(place: Place) -> None:
    """Kill it; its engines must end by themselves."""
    guard = _running(place.guard)
    engines = psutil.Process(guard.popen.pid).children(recursive=True)
    guard.popen.kill()
    guard.popen.wait()
    _, left = psutil.wait_procs(engines, timeout=60)
    if left:
        raise RuntimeError(f"engines outlived the guard: {left}")


def _start_guard(place: Place) -> None:
    place.start_guard()


def _slow(place: Place) -> None:
    _relay(place).mode = "slow"


def _half(place: Place) -> None:
    _relay(place).mode = "half"


def _well(place: Place) -> None:
    _relay(place).mode = "well"


def _lead_to_another(place: Place) -> None:
    _relay(place).lead_to(place.socket_of("sorter"))


def _lead_back(place: Place) -> None:
    _relay(place).lead_to(place.socket_of("writer"))


OWN = (
    Fault("vLLM killed", "SIGKILL; the guard starts it again", _kill),
    Fault("vLLM hung", "SIGSTOP of all its processes; the guard kills it and starts it again", _hang),
    Fault("vLLM out of memory", "SIGKILL of its largest process, as by the kernel; the guard starts it again", _run_out_of_memory),
    Fault("vLLM's socket removed", "the file is unlinked; the guard starts vLLM again", _remove_socket),
    Fault("disk full", "the disk of vLLM's log and socket is filled, and vLLM killed", _fill_disk, _empty_disk, 20),
    Fault("configuration deleted", "guard.yaml is unlinked", _delete_config),
    Fault("guard told to end", "SIGTERM in the middle of streams; started again", _terminate_guard, _start_guard, 1),
    Fault("guard killed", "SIGKILL; its engines end, too; started again", _kill_guard, _start_guard, 1),
)  # fmt: skip
BEHIND_A_RELAY = (
    Fault("vLLM slow", "each piece of its answers comes a second late", _slow, _well, 20),
    Fault("half a response", "every answer of vLLM breaks off", _half, _well, 10),
    Fault("another model at the URL", "another vLLM, with another adapter, is there", _lead_to_another, _lead_back, 15),
)  # fmt: skip
ALL = (*OWN, *BEHIND_A_RELAY)
