"""Programs of Debian packages, unpacked beside the measurements and not installed."""

import os
import subprocess
from pathlib import Path

PLACE = Path(os.environ.get("P2P_BENCH_CACHE", Path.home() / ".cache/p2p-guard-bench"))


def unpacked(package: str) -> Path:
    """Return the folder that a package is unpacked in; fetched once, by apt, which checks its signature."""
    home = PLACE / package
    if not (home / "usr").exists():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=home, check=True)  # noqa: S607 - wherever the machine has it
        for found in home.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(found), str(home)], check=True)  # noqa: S607 - the same
    return home
