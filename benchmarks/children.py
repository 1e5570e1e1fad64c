"""The vLLM children of a guard, found by what they were started with."""

from pathlib import Path

import psutil


def engine_of(guard: int, adapter: str) -> psutil.Process:
    """Return the vLLM that serves an adapter.

    Args:
        guard: The guard's process id.
        adapter: The adapter's name.

    Raises:
        RuntimeError: No engine of the guard serves it.
    """
    for found in psutil.Process(guard).children():
        if any(part.startswith(f"{adapter}@") for part in _command(found)):
            return found
    raise RuntimeError(f"no engine serves {adapter}")


def socket_of(engine: psutil.Process) -> Path:
    """Return the Unix socket that an engine listens on."""
    command = engine.cmdline()
    return Path(command[command.index("--uds") + 1])


def _command(process: psutil.Process) -> list[str]:
    """Return what a process was started with; nothing of one that has ended: a child that was killed may not have been waited for yet."""
    try:
        return list(process.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return []
