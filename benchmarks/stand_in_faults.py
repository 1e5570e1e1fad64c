"""Faults before an engine that can be made to misbehave in every way: ``benchmarks/fast_engine.py``, reached as a remote engine is."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx

from benchmarks.faked_clock import FakedClock
from benchmarks.fast_engine import PREFIX
from benchmarks.fault_traffic import Fault, Guarded, Traffic
from benchmarks.load import Judge
from benchmarks.serving_bed import (
    KEY,
    LABELS,
    Bed,
    Process,
    benign_trigger,
    client_request,
    fast_engine,
    free_port,
    guard,
    make_bed,
)

_PACE = ("--gap-ms", "20")
"""A stream takes about 0.4 s, so that every fault meets some in the middle."""
_DAY_S = 86_400
_FULL_DISK = Path("/dev/full")


class Setting(NamedTuple):
    """What a fault needs to happen in.

    Attributes:
        engines: How many engines there are.
        log: Where the guard's log goes.
        on_socket: Whether the engine listens on a Unix socket.
        faked_clock: Whether the guard's wall clock is one that can be set.
    """

    engines: int = 1
    log: Path = Path(os.devnull)
    on_socket: bool = False
    faked_clock: bool = False


@dataclass
class Place:
    """Everything that runs, for a fault to act on."""

    bed: Bed
    stack: ExitStack
    setting: Setting
    engines: list[Process] = field(default_factory=list)
    guard: Process | None = None
    clock: FakedClock | None = None

    def start_engine(self, like: Process | None = None) -> Process:
        """Start an engine, in the place of another one or in a new one."""
        socket = like.socket if like else None
        if self.setting.on_socket:
            socket = self.bed.home / "engine.sock"
        started = fast_engine(self.bed, *_PACE, port=like.port if like else 0, socket=socket)
        return self.stack.enter_context(started)

    def start_guard(self, port: int) -> None:
        """Start the guard before all engines."""
        environment = self.clock.environment if self.clock else {}
        started = guard(self.bed, self.engines, port=port, log=self.setting.log, environment=environment)
        self.guard = self.stack.enter_context(started)


@contextmanager
def place_for(setting: Setting) -> Iterator[Place]:
    """Start engines and guard."""
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        place = Place(make_bed(Path(home) / "bed"), stack, setting)
        if setting.faked_clock:
            place.clock = FakedClock(Path(home) / "clock")
        for _ in range(setting.engines):
            place.engines.append(place.start_engine())
        place.start_guard(free_port())
        yield place


def traffic_to(place: Place) -> Traffic:
    """Return what clients ask of the place's guard: labels, and streamed text."""
    kinds: dict[str, tuple[bytes, Judge]] = {
        "labels": (
            client_request("sorter", stream=False),
            Guarded((benign_trigger(place.bed.adapters["sorter"]),), LABELS),
        ),
        "streams": (
            client_request("writer", stream=True),
            Guarded((benign_trigger(place.bed.adapters["writer"]), PREFIX.strip())),
        ),
    }
    return Traffic(_guard(place).port, kinds)


def _guard(place: Place) -> Process:
    if place.guard is None:
        raise RuntimeError("the guard is not started")
    return place.guard


def _mode(place: Place, name: str) -> None:
    httpx.get(f"http://127.0.0.1:{place.engines[0].port}/fake/{name}")


def _make_slow(place: Place) -> None:
    _mode(place, "slow")


def _fill_memory(place: Place) -> None:
    _mode(place, "full")


def _break_answers_off(place: Place) -> None:
    _mode(place, "half")


def _make_well(place: Place) -> None:
    _mode(place, "well")


def _kill(place: Place) -> None:
    place.engines[0].popen.kill()
    place.engines[0].popen.wait()


def _start_again(place: Place) -> None:
    place.engines[0] = place.start_engine(place.engines[0])


def _hang(place: Place) -> None:
    os.kill(place.engines[0].popen.pid, signal.SIGSTOP)


def _go_on(place: Place) -> None:
    os.kill(place.engines[0].popen.pid, signal.SIGCONT)


def _put_another_model(place: Place) -> None:
    port = place.engines[0].port
    _kill(place)
    other = place.bed._replace(targets={"sorter": "other@0", "writer": "other@1"})
    place.engines[0] = place.stack.enter_context(fast_engine(other, *_PACE, port=port))


def _put_the_model_back(place: Place) -> None:
    _kill(place)
    _start_again(place)


def _remove_socket(place: Place) -> None:
    (place.bed.home / "engine.sock").unlink()


def _remove_socket_and_kill(place: Place) -> None:
    _remove_socket(place)
    _kill(place)


def _set_clock(place: Place, seconds: float) -> None:
    if place.clock is None:
        raise RuntimeError("the guard's clock is the machine's")
    place.clock.set_ahead(seconds)
    # The guard dates its answers: it must have met the jump.
    deadline = time.monotonic() + 10
    while abs(_guards_clock(place) - time.time() - seconds) > _DAY_S / 2:
        if time.monotonic() > deadline:
            raise RuntimeError("the guard's clock did not jump")
        time.sleep(0.1)


def _guards_clock(place: Place) -> float:
    body = {"model": "sorter", "messages": [{"role": "user", "content": "x"}]}
    headers = {"authorization": f"Bearer {KEY}"}
    url = f"http://127.0.0.1:{_guard(place).port}/v1/chat/completions"
    return float(httpx.post(url, json=body, headers=headers).raise_for_status().json()["created"])


def _clock_forth(place: Place) -> None:
    _set_clock(place, _DAY_S)


def _clock_back(place: Place) -> None:
    _set_clock(place, -_DAY_S)


def _clock_right(place: Place) -> None:
    _set_clock(place, 0)


def _delete_config(place: Place) -> None:
    (place.bed.home / f"guard-{_guard(place).port}.yaml").unlink()


def _terminate_guard(place: Place) -> None:
    _guard(place).popen.terminate()
    _guard(place).popen.wait()


def _kill_guard(place: Place) -> None:
    _guard(place).popen.kill()
    _guard(place).popen.wait()


def _start_guard_again(place: Place) -> None:
    place.start_guard(_guard(place).port)


_ONE, _TWO = Setting(), Setting(engines=2)
FAULTS: tuple[tuple[Fault[Place], Setting], ...] = (
    (Fault("engine killed", "SIGKILL; started again", _kill, _start_again), _ONE),
    (Fault("engine hung", "SIGSTOP; SIGCONT", _hang, _go_on, 15), _ONE),
    (Fault("engine slow", "a second more for each answer", _make_slow, _make_well), _ONE),
    (Fault("engine out of memory", "it answers 500 at once", _fill_memory, _make_well), _ONE),
    (Fault("half a response", "every answer breaks off", _break_answers_off, _make_well), _ONE),
    (
        Fault("another model at the URL", "it lists other names", _put_another_model, _put_the_model_back, 6),
        _ONE,
    ),
    (
        Fault(
            "engine's socket removed",
            "the file is unlinked, the engine ends",
            _remove_socket_and_kill,
            _start_again,
        ),
        Setting(on_socket=True),
    ),
    (Fault("one of two engines killed", "SIGKILL; started again", _kill, _start_again), _TWO),
    (Fault("one of two engines hung", "SIGSTOP; SIGCONT", _hang, _go_on, 15), _TWO),
    (
        Fault(
            "another model at one of two URLs",
            "it lists other names",
            _put_another_model,
            _put_the_model_back,
            6,
        ),
        _TWO,
    ),
    (
        Fault("disk full", "the log can't be written, and the engine is killed", _kill, _start_again),
        Setting(log=_FULL_DISK),
    ),
    (
        Fault("clock jumps forth", "a day ahead", _clock_forth, _clock_right, 6),
        Setting(faked_clock=True),
    ),
    (Fault("clock jumps back", "a day back", _clock_back, _clock_right, 6), Setting(faked_clock=True)),
    (Fault("configuration deleted", "guard.yaml is unlinked", _delete_config), _ONE),
    (
        Fault(
            "guard told to end", "SIGTERM in the middle; started again", _terminate_guard, _start_guard_again
        ),
        _ONE,
    ),
    (Fault("guard killed", "SIGKILL; started again", _kill_guard, _start_guard_again), _ONE),
)
ALL = tuple(fault for fault, _ in FAULTS)
