"""Write ``requirements/cpu.lock``: one exact version of everything a CPU checkout needs.

Run it through ``make lock``. pip resolves ``.[train,cpu,dev]`` afresh in a throw-away environment; what this project
never loads is then left out by name, with the reason beside it. The lock is installed with ``--no-deps``, so what is
not in it is not installed. See ``docs/decisions/0001-locked-environment.md``.
"""

import json
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "cpu.lock"
EXTRAS = "train,cpu,dev"

LEFT_OUT = {
    "agent-detector": "telemetry of fastapi-cloud-cli",
    "detect-installer": "telemetry of fastapi-cloud-cli",
    "fastapi-cli": "a development server; the guard runs uvicorn itself",
    "fastapi-cloud-cli": "deploys to a hosted service",
    "fastar": "used by fastapi-cloud-cli alone",
    "opencv-python-headless": "decodes images and video, which the guard refuses",
    "p2p-guard": "this project, installed from the checkout",
    "rich-toolkit": "used by fastapi-cli alone",
    "rignore": "used by fastapi-cloud-cli alone",
    "sentry-sdk": "error reports to a hosted service",
    "torchaudio": "does not load beside the CPU build of torch",
    "torchcodec": "does not load beside the CPU build of torch",
    "torchvision": "does not load beside the CPU build of torch",
    "triton": "compiles GPU kernels; 1 GB",
}

X86_ONLY = {"intel-cmplr-lib-ur", "intel-openmp"}

# Asked for by name: with build isolation off, the editable install builds with these.
BUILD_TOOLS = ["wheel"]

HEADER = f"""\
# Everything for .[{EXTRAS}] on Linux with a CPU (x86-64 or aarch64), Python 3.11.
# Made by `make lock`; do not edit. Install with `pip install --no-deps -r requirements/cpu.lock`.
"""


class Pin(NamedTuple):
    """One distribution at one version."""

    name: str
    version: str

    def __str__(self) -> str:
        """Write the pin as a requirement line, with a marker where one architecture alone has a wheel."""
        marker = ' ; platform_machine == "x86_64"' if self.name in X86_ONLY else ""
        return f"{self.name}=={self.version}{marker}"


def main() -> None:
    """Resolve, prune and write the lock."""
    with tempfile.TemporaryDirectory(prefix="p2p-guard-lock-") as scratch:
        pins = _pins(_resolve(Path(scratch)))
    LOCK.parent.mkdir(exist_ok=True)
    LOCK.write_text(HEADER + "".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    print(f"{LOCK.relative_to(ROOT)}: {len(pins)} packages; left out: {', '.join(sorted(LEFT_OUT))}")


def _resolve(scratch: Path) -> dict[str, Any]:
    venv.create(scratch / "venv", with_pip=True)
    report = scratch / "report.json"
    pip = [str(scratch / "venv" / "bin" / "python"), "-m", "pip"]
    wanted = [*BUILD_TOOLS, f"{ROOT}[{EXTRAS}]"]
    print("Resolving; this takes one to two minutes ...", flush=True)
    subprocess.run(
        [*pip, "install", "--dry-run", "--ignore-installed", "--quiet", "--report", str(report), *wanted],
        check=True,
    )
    resolution: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return resolution


def _pins(resolution: dict[str, Any]) -> list[Pin]:
    installed = resolution["install"]
    pins = [_pin(item["metadata"]["name"], item["metadata"]["version"]) for item in installed]
    return sorted(pin for pin in pins if pin.name not in LEFT_OUT)


def _pin(name: str, version: str) -> Pin:
    # "2.13.0+cpu" is a local build of 2.13.0; a lock that names it installs on no other machine.
    return Pin(re.sub(r"[-_.]+", "-", name).lower(), version.split("+", maxsplit=1)[0])


if __name__ == "__main__":
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"The lock is made with Python 3.11, this is {sys.version.split()[0]}.")
    main()
