"""A wall clock that can be set for one process and its children alone, by libfaketime. Monotonic clocks run on, as they do on a machine."""

from pathlib import Path

from benchmarks.debian import unpacked


class FakedClock:
    """A clock.

    Args:
        path: Where to note how far ahead it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set_ahead(0)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to be started with."""
        (library,) = unpacked("libfaketime").rglob("libfaketimeMT.so.1")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }

    def set_ahead(self, seconds: float) -> None:
        """Set it ahead of the machine's, or back."""
        self._path.write_text(f"{seconds:+.0f}\n", encoding="utf-8")
