"""The most memory held while one cell is measured: of the GPU where there is one, else of this process."""

import re
from pathlib import Path

_GIB = 2**30
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Counts from when it is made; one at a time.

    The base model and what the cells of a process share, such as the frozen layers' states, are in it.

    Args:
        status: Where Linux tells what a process holds, and has held (proc(5)).
        reset: Where the latter is set back.
    """

    def __init__(self, status: Path = _STATUS, reset: Path = _RESET) -> None:
        self._status = status
        self._gpu = _has_gpu()
        self._known = self._gpu or _set_back(reset)
        if self._gpu:
            import torch

            torch.cuda.reset_peak_memory_stats()

    def gib(self) -> float | None:
        """Return the peak so far, in GiB; None on systems that do not tell."""
        if not self._known:
            return None
        if self._gpu:
            import torch

            return torch.cuda.max_memory_allocated() / _GIB
        found = re.search(r"^VmHWM:\s+(\d+) kB$", self._status.read_text(encoding="utf-8"), re.MULTILINE)
        return int(found[1]) / 2**20 if found else None


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _set_back(reset: Path) -> bool:
    try:
        reset.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
