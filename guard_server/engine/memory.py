"""How much memory is left: a second engine beside the first one must not be the end of both."""

from pathlib import Path

from guard_server.errors import EngineLoadError

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_OVERHEAD = 1 << 30
"""An allowance for what a vLLM process takes beside its weights and its key-value cache."""


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Return the bytes that may still be taken, by the machine and by the control group; None where neither is told."""
    found = [room for room in (_of_machine(meminfo), _of_group(cgroup)) if room is not None]
    return min(found, default=None)


def require_room(model: Path, cache_bytes: int, available: int | None) -> None:
    """Check that one more engine fits.

    Args:
        model: The directory whose weights it loads.
        cache_bytes: Its key-value cache.
        available: Bytes that may be taken; None is not checked.

    Raises:
        EngineLoadError: It does not fit.
    """
    needed = sum(path.stat().st_size for path in model.glob("*.safetensors")) + cache_bytes + _OVERHEAD
    if available is not None and needed > available:
        raise EngineLoadError(
            f"a new engine beside the running one needs about {needed >> 20} MiB, {available >> 20} MiB are left. A merged adapter "
            "is a process of its own: give the guard more memory, a smaller VLLM_CPU_KVCACHE_SPACE, or engine.serve_as: lora."
        )


def _of_machine(meminfo: Path) -> int | None:
    if not meminfo.is_file():
        return None
    for line in meminfo.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _of_group(cgroup: Path) -> int | None:
    try:
        limit = (cgroup / "memory.max").read_text(encoding="utf-8").strip()
        used = (cgroup / "memory.current").read_text(encoding="utf-8")
        stat = (cgroup / "memory.stat").read_text(encoding="utf-8").split()
    except OSError:
        return None
    if limit == "max":
        return None
    # Page cache counts as used and is given back when it is wanted.
    reclaimable = int(stat[stat.index("inactive_file") + 1]) if "inactive_file" in stat else 0
    return int(limit) - int(used) + reclaimable
