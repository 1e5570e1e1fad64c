"""Put prometheus, promtool and amtool into ``.tools/prometheus``: what the tests of rules, metrics and dashboard run.

They come from Debian's packages through apt-get as it is configured here, at a pinned version with a pinned digest, unpacked and not
installed. The folder appears whole or not at all; a second call returns at once.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent.parent / ".tools" / "prometheus"
PROGRAMS = ("prometheus", "promtool", "amtool")


class Package(NamedTuple):
    """A Debian package for x86-64."""

    name: str
    version: str
    sha256: str


PACKAGES = (
    Package(
        "prometheus",
        "2.42.0+ds-5+deb12u1",
        "81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55",
    ),
    Package(
        "prometheus-alertmanager",
        "0.25.0-1+b4",
        "4fb9aed15cfe8e0c32408e643ab32a1e41ee87d2cc26f18aeba928b1b0b98ae7",
    ),
)


class FetchError(Exception):
    """The tools can't be had; the message says what to do."""


def main() -> None:
    """Fetch the programs, unless they are there."""
    try:
        fetch()
    except FetchError as error:
        sys.exit(f"prometheus: {error}")
    print(f"{', '.join(PROGRAMS)} are in {FOLDER}")


def fetch() -> Path:
    """Return the folder with the programs, fetched unless they are there.

    Raises:
        FetchError: apt-get or dpkg-deb is missing or fails, or a package is another one than the pinned.
    """
    if FOLDER.is_dir():
        return FOLDER
    FOLDER.parent.mkdir(exist_ok=True)
    # Beside its destination, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=FOLDER.parent) as scratch:
        home = Path(scratch)
        for package in PACKAGES:
            _run("dpkg-deb", "--extract", str(_download(package, home)), str(home / "unpacked"), cwd=home)
        chosen = home / "chosen"
        chosen.mkdir()
        for name in PROGRAMS:
            shutil.copy2(home / "unpacked" / "usr" / "bin" / name, chosen)
        _publish(chosen)
    return FOLDER


def _download(package: Package, home: Path) -> Path:
    wanted = f"{package.name}={package.version}"
    try:
        _run("apt-get", "--quiet", "download", wanted, cwd=home)
    except FetchError:
        # A machine that has never looked at Debian's lists, or long ago: they are read into a folder of our own.
        lists = _own_lists(home)
        _run("apt-get", "--quiet", *lists, "update", cwd=home)
        _run("apt-get", "--quiet", *lists, "download", wanted, cwd=home)
    (found,) = home.glob(f"{package.name}_*.deb")
    digest = hashlib.sha256(found.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise FetchError(f"{found.name} has the digest {digest}, pinned is {package.sha256}")
    return found


def _own_lists(home: Path) -> tuple[str, ...]:
    for name in ("lists/partial", "cache/archives/partial"):
        (home / name).mkdir(parents=True, exist_ok=True)
    return ("-o", f"Dir::State::Lists={home}/lists", "-o", f"Dir::Cache={home}/cache")


def _run(*command: str, cwd: Path) -> None:
    program = shutil.which(command[0])
    if not program:
        raise FetchError(f"{command[0]} is missing: this needs Debian, or {', '.join(PROGRAMS)} in {FOLDER}")
    done = subprocess.run([program, *command[1:]], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FetchError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")


def _publish(chosen: Path) -> None:
    try:
        chosen.rename(FOLDER)
    except OSError:
        # Another process was quicker; both have the same.
        if not FOLDER.is_dir():
            raise


if __name__ == "__main__":
    main()
