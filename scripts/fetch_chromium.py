"""Put a headless Chromium into ``.tools/chromium``: what the tests of the status page look through.

It comes from a package of npm that carries the program with the libraries and fonts that it needs, through npm as it is configured
here, at a pinned version with a pinned digest. The folder appears whole or not at all; a second call returns at once.

    python -m scripts.fetch_chromium
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from scripts.fetch_ops_tools import TOOLS, FetchError, node

FOLDER = TOOLS / "chromium"
_PACKAGE = "@sparticuz/chromium@153.0.0"
_SHA256 = "20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0"
_ARCHIVES = ("al2023.tar", "fonts.tar", "swiftshader.tar")
# Python has no Brotli of its own; Node, which brings npm, does.
_UNPACK = (
    "const fs = require('fs'), z = require('zlib'), [, from, to] = process.argv;"
    "fs.writeFileSync(to, z.brotliDecompressSync(fs.readFileSync(from)));"
)


def main() -> None:
    """Fetch it, unless it is there."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.exit("chromium: the pinned package holds a program for Linux on x86-64 alone")
    try:
        print(f"chromium is in {fetch()}")
    except FetchError as error:
        sys.exit(f"chromium: {error}")


def fetch() -> Path:
    """Return the folder with ``chromium``, ``lib`` and ``fonts``, fetched unless it is there.

    Raises:
        FetchError: npm is missing or fails, or the package is not the pinned one.
    """
    if FOLDER.is_dir():
        return FOLDER
    TOOLS.mkdir(exist_ok=True)
    # Beside its destination, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=".fetching-chromium-", dir=TOOLS) as scratch:
        home = Path(scratch)
        with tarfile.open(_download(home)) as package:
            package.extractall(home)  # noqa: S202 - its digest is pinned; no filter before Python 3.11.4
        _publish(_chosen(home))
    return FOLDER


def _download(home: Path) -> Path:
    path = _path()
    program = shutil.which("npm", path=path)
    if not program:
        raise FetchError("npm is missing")
    _run([program, "pack", "--silent", "--ignore-scripts", _PACKAGE], home, path)
    (found,) = home.glob("*.tgz")
    if (digest := hashlib.sha256(found.read_bytes()).hexdigest()) != _SHA256:
        raise FetchError(f"{found.name} has SHA-256 {digest}, expected {_SHA256}. Do not use it.")
    return found


def _chosen(home: Path) -> Path:
    chosen, packed = home / "chosen", home / "package" / "bin"
    chosen.mkdir()
    for name in _ARCHIVES:
        _unpack(packed / f"{name}.br", home / name)
        with tarfile.open(home / name) as archive:
            archive.extractall(chosen)  # noqa: S202 - its digest is pinned
    _unpack(packed / "chromium.br", chosen / "chromium")
    (chosen / "chromium").chmod(0o755)
    return chosen


def _unpack(source: Path, target: Path) -> None:
    _run([str(node()), "-e", _UNPACK, str(source), str(target)], source.parent, _path())


def _path() -> str:
    """Where npm and Node are looked for."""
    return f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"


def _run(command: list[str], folder: Path, path: str) -> None:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise FetchError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-500:]}")


def _publish(chosen: Path) -> None:
    try:
        chosen.rename(FOLDER)
    except OSError:
        # Another process was quicker; both have the same.
        if not FOLDER.is_dir():
            raise


if __name__ == "__main__":
    main()
